"""Uvicorn's HTTP protocol, mended where it loses what follows a handshake in the same packet."""

import sys

from httptools import HttpParserUpgrade
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


class HttpProtocol(HttpToolsProtocol):
    """Hands the WebSocket protocol all that has come, not only the request."""

    _received = b""

    def data_received(self, data: bytes) -> None:
        """Parse some more of a request."""
        self._received = data
        super().data_received(data)
        self._received = b""

    def handle_websocket_upgrade(self) -> None:
        """Called where the parser stopped behind a handshake: its exception tells how far it came."""
        super().handle_websocket_upgrade()
        stopped = sys.exception()
        if isinstance(stopped, HttpParserUpgrade):
            rest = self._received[stopped.args[0] :]
            if rest:
                self.transport.get_protocol().data_received(rest)  # type: ignore[attr-defined] # it is ours now
