"""The ASGI scope of a WebSocket, made from the request of its handshake."""

from typing import Any, NamedTuple
from urllib.parse import unquote

from uvicorn.config import Config

from realtime.protocol.handshake import offered_subprotocols
from realtime.sockets.types import Scope

Header = tuple[bytes, bytes]
# Host and port. For a Unix socket the server's address is its path and None, and the client has no address.
Address = tuple[str, int | None] | tuple[str, int] | None


class Request(NamedTuple):
    """A parsed request: headers with lower-case names, and the addresses of server and client."""

    target: bytes
    headers: list[Header]
    server: Address
    client: Address


def websocket_scope(
    request: Request, config: Config, state: dict[str, Any], *, is_secure: bool, extensions: dict[str, Any]
) -> Scope:
    """Return the scope as ASGI 3 defines it. The lifespan's `state` is copied, or left out if it is empty."""
    raw_path, _, query_string = request.target.partition(b"?")
    root_path = config.root_path
    scope: Scope = {
        "type": "websocket",
        "asgi": {"version": config.asgi_version, "spec_version": "2.4"},
        "http_version": "1.1",
        "scheme": "wss" if is_secure else "ws",
        "server": request.server,
        "client": request.client,
        "root_path": root_path,
        "path": root_path + unquote(raw_path.decode("latin-1")),
        "raw_path": root_path.encode() + raw_path,
        "query_string": query_string,
        "headers": request.headers,
        "subprotocols": offered_subprotocols(request.headers),
        "extensions": extensions,
    }
    if state:
        scope["state"] = state.copy()
    return scope
