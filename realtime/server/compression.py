"""The protocol class for sites that compress: `--ws realtime.server.compression:CompressingProtocol`."""

from realtime.protocol.deflate import InflatingParser, negotiate
from realtime.server.protocol import WebSocketProtocol
from realtime.server.scope import Request
from realtime.sockets.types import Event


class CompressingProtocol(WebSocketProtocol):
    """As its parent, and with permessage-deflate (RFC 7692) for the clients that offer it.

    It takes compressed messages; what goes out is compressed by whoever makes the frames, who reads `deflate_bits`.
    """

    __slots__ = ("_extension", "deflate_bits")

    def upgrade(self, request: Request) -> None:
        """As its parent's, and look what the client offers."""
        agreement = negotiate(request.headers)
        self.deflate_bits = agreement.window_bits if agreement else 0
        self._extension = agreement.answer if agreement else b""
        if agreement:
            self._parser = InflatingParser(self._config.ws_max_size)
        super().upgrade(request)

    def _send_accept(self, event: Event) -> None:
        if self._extension:
            own = (b"Sec-WebSocket-Extensions", self._extension)
            event = {**event, "headers": [*event.get("headers", []), own]}
        super()._send_accept(event)
