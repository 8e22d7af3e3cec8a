"""The protocol class with compression: `--ws realtime.server.compression:CompressingProtocol`."""

from realtime.protocol.deflate import InflatingParser, negotiate
from realtime.server.protocol import WebSocketProtocol
from realtime.server.scope import Request
from realtime.sockets.types import Event


class CompressingProtocol(WebSocketProtocol):
    """A WebSocketProtocol with permessage-deflate (RFC 7692) for clients that offer it.

    It reads compressed messages. The code that encodes outgoing frames compresses them and reads
    `deflate_bits`.
    """

    __slots__ = ("_extension", "deflate_bits")

    def upgrade(self, request: Request) -> None:
        """Negotiate compression, then start the handshake."""
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
