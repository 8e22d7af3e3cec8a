"""Uvicorn's HTTP protocol, with a short way to our WebSocket class."""

import sys

from httptools import HttpParserUpgrade
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from realtime.server.protocol import WebSocketProtocol
from realtime.server.scope import Request

# Names that every handshake has: one object for all connections, whose scopes keep them.
_NAMES = {
    name: name
    for name in (
        b"accept-encoding",
        b"accept-language",
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


class HttpProtocol(HttpToolsProtocol):
    """Hands the WebSocket protocol what it has read, headers as headers, and what came behind them.

    Uvicorn's own way writes the request out again to be read a second time, and loses what follows a handshake in the
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
            self._hand_over(ours)
        else:
            super().handle_websocket_upgrade()
        # It holds this object and is held by it: the two would stay until the collector finds them.
        self.parser = None  # type: ignore[assignment] # as uvicorn does where a connection is lost
        stopped = sys.exception()
        if isinstance(stopped, HttpParserUpgrade):
            rest = self._received[stopped.args[0] :]
            if rest:
                self.transport.get_protocol().data_received(rest)  # type: ignore[attr-defined] # it is ours now

    def _hand_over(self, ours: type[WebSocketProtocol]) -> None:
        self.connections.discard(self)
        protocol = ours(self.config, self.server_state, self.app_state)
        protocol.connection_made(self.transport)
        self.transport.set_protocol(protocol)
        headers = [(_NAMES.get(name, name), value.strip()) for name, value in self.headers]
        protocol.upgrade(Request(self.url, headers, self.server, self.client))
