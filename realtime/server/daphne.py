"""Daphne's server, adapted to this package. `manage.py runserver` uses it."""

from typing import Any

from daphne.http_protocol import WebRequest
from daphne.server import Server


class DaphneServer(Server):  # type: ignore[misc] # Daphne has no types
    """Daphne's server, but a WebSocket does not keep its HTTP request.

    The request takes 7 KiB for each socket (docs/performance.md) and holds four copies of the token.
    """

    def create_application(self, protocol: Any, scope: dict[str, Any]) -> Any:
        """Create the application. Called for a WebSocket when its handshake has been read."""
        if scope["type"] == "websocket":
            # The scope has the headers; these copies are not read any more.
            protocol.clean_headers = []
            protocol.http_headers.clear()
            protocol.http_request_data = b""
        return super().create_application(protocol, scope)

    def protocol_disconnected(self, protocol: Any) -> None:
        """Forget a request that has ended, or that has become a WebSocket and so has no transport."""
        super().protocol_disconnected(protocol)
        if isinstance(protocol, WebRequest) and protocol.transport is None and protocol.channel is not None:
            # Otherwise the transport refers to the HTTP channel, and the channel to this request. Channel and
            # request also refer to each other, so only the garbage collector would free them.
            protocol.channel.transport.unregisterProducer()
            protocol.channel.requests.clear()
