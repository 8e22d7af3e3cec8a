"""Daphne's server, set up for this package: what `manage.py runserver` runs."""

from typing import Any

from daphne.http_protocol import WebRequest
from daphne.server import Server


class DaphneServer(Server):  # type: ignore[misc] # Daphne has no types
    """As Daphne's; a WebSocket does not hold the HTTP request it began with.

    That is 7 KiB a socket, and the token four times.
    """

    def create_application(self, protocol: Any, scope: dict[str, Any]) -> Any:
        """As its parent's. Called for a WebSocket when its handshake has been read."""
        if scope["type"] == "websocket":
            # The scope has the headers; of these nobody reads any more.
            protocol.clean_headers = []
            protocol.http_headers.clear()
            protocol.http_request_data = b""
        return super().create_application(protocol, scope)

    def protocol_disconnected(self, protocol: Any) -> None:
        """As its parent's. Called for a request when it has ended, or has become a WebSocket and has no transport."""
        super().protocol_disconnected(protocol)
        if isinstance(protocol, WebRequest) and protocol.transport is None and protocol.channel is not None:
            # The transport would keep the HTTP channel, which paused requests for it, and that this request; and these
            # two each other, until the collector finds them.
            protocol.channel.transport.unregisterProducer()
            protocol.channel.requests.clear()
