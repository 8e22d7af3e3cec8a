"""The HTTP side of the server: finds out which new connections are WebSockets, with little work for those that are."""

import asyncio
import sys
from typing import Any, cast

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.utils import get_local_addr, get_remote_addr
from uvicorn.server import ServerState

from realtime.protocol.handshake import HANDSHAKE_MAX_BYTES
from realtime.server.protocol import WebSocketProtocol
from realtime.server.scope import Header, Request

# Names that every handshake has: one object for all connections, whose scopes keep them.
_NAMES = {
    name: name
    for name in (
        b"accept-encoding",
        b"accept-language",
        b"authorization",
        b"cache-control",
        b"connection",
        b"cookie",
        b"host",
        b"origin",
        b"pragma",
        b"sec-websocket-extensions",
        b"sec-websocket-key",
        b"sec-websocket-protocol",
        b"sec-websocket-version",
        b"upgrade",
        b"user-agent",
        b"x-forwarded-for",
        b"x-forwarded-proto",
    )
}


class HttpProtocol(asyncio.Protocol):
    """A new connection, until the head of its first request is read: a handshake goes to our WebSocket class.

    Everything else goes to uvicorn's own protocol, as it came. That one makes ready for requests of all kinds, before
    it knows of any, which takes five times as long.
    """

    __slots__ = (
        "_app_state",
        "_config",
        "_head",
        "_loop",
        "_parser",
        "_received",
        "_server_state",
        "_transport",
    )

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        self._config = config
        self._server_state = server_state
        self._app_state = app_state
        self._loop = _loop
        self._head = _Head()
        self._parser = HttpRequestParser(self._head)
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Somebody connected."""
        self._transport = cast("asyncio.Transport", transport)
        self._server_state.connections.add(self)  # type: ignore[arg-type] # uvicorn's set of any protocol

    def connection_lost(self, error: Exception | None) -> None:
        """They left without a request."""
        self._server_state.connections.discard(self)

    def shutdown(self) -> None:
        """The server ends."""
        self._transport.close()

    def data_received(self, data: bytes) -> None:
        """Parse some more of the head."""
        self._received += data
        try:
            self._parser.feed_data(data)
        except HttpParserUpgrade as stopped:
            # The exception tells how far the parser came; the rest is frames.
            self._upgrade(data[stopped.args[0] :])
        except HttpParserError:
            self._leave_to_uvicorn()
        else:
            if self._head.is_complete or len(self._received) > HANDSHAKE_MAX_BYTES:
                self._leave_to_uvicorn()

    def _upgrade(self, rest: bytes) -> None:
        ours = self._config.ws_protocol_class
        is_handshake = self._parser.get_method() == b"GET" and self._head.asks_for_websocket()
        if is_handshake and ours is not None and issubclass(ours, WebSocketProtocol):
            self._server_state.connections.discard(self)
            protocol = ours(self._config, self._server_state, self._app_state, self._loop)
            _hand_over(protocol, self._transport, self._head.target, self._head.headers)
            if rest:
                protocol.data_received(rest)
        else:
            self._leave_to_uvicorn()

    def _leave_to_uvicorn(self) -> None:
        self._server_state.connections.discard(self)
        protocol = RequestsProtocol(self._config, self._server_state, self._app_state, self._loop)
        protocol.connection_made(self._transport)
        self._transport.set_protocol(protocol)
        protocol.data_received(self._received)


class _Head:
    """What httptools reads; apart from the protocol, which the parser would hold and be held by."""

    __slots__ = ("headers", "is_complete", "target")

    def __init__(self) -> None:
        self.target = b""
        self.headers: list[Header] = []
        self.is_complete = False

    def on_url(self, part: bytes) -> None:
        self.target += part

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        self.is_complete = True

    def asks_for_websocket(self) -> bool:
        return [value.lower() for name, value in self.headers if name == b"upgrade"] == [b"websocket"]


class RequestsProtocol(HttpToolsProtocol):
    """Uvicorn's own; a handshake that follows other requests reaches our class with its headers and what came behind.

    Uvicorn's way writes the request out again to be read a second time, and loses what follows a handshake in the
    same packet.
    """

    _received = b""

    def data_received(self, data: bytes) -> None:
        """Parse some more of a request."""
        self._received = data
        super().data_received(data)
        self._received = b""

    def handle_websocket_upgrade(self) -> None:
        """Called where the parser stopped behind a handshake: its exception tells how far it came."""
        ours = self.ws_protocol_class
        if self.scope["method"] == "GET" and ours is not None and issubclass(ours, WebSocketProtocol):
            self.connections.discard(self)
            protocol = ours(self.config, self.server_state, self.app_state)
            _hand_over(protocol, self.transport, self.url, self.headers)
        else:
            super().handle_websocket_upgrade()
        # It holds this object and is held by it: the two would stay until the collector finds them.
        self.parser = None  # type: ignore[assignment] # as uvicorn does where a connection is lost
        stopped = sys.exception()
        if isinstance(stopped, HttpParserUpgrade):
            rest = self._received[stopped.args[0] :]
            if rest:
                self.transport.get_protocol().data_received(rest)  # type: ignore[attr-defined] # it is ours now


def _hand_over(
    protocol: WebSocketProtocol, transport: asyncio.Transport, target: bytes, headers: list[Header]
) -> None:
    protocol.connection_made(transport)
    transport.set_protocol(protocol)
    shared = [(_NAMES.get(name, name), value.strip()) for name, value in headers]
    protocol.upgrade(Request(target, shared, get_local_addr(transport), get_remote_addr(transport)))
