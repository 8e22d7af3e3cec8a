"""Uvicorn's sans-I/O WebSocket protocol, with the close codes of PROTOCOL.md and an end to sockets that never end."""

import asyncio
from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from realtime.protocol.close_codes import CloseCode

# How long a closing transport may take to hand its last bytes to a client that is not reading.
ABORT_AFTER_S = 10.0


class WebSocketProtocol(WebSocketsSansIOProtocol):
    """`serve` passes it to uvicorn as `--ws realtime.server.protocol:WebSocketProtocol`."""

    def keepalive_timeout(self) -> None:
        """No pong came: close with 4408 where uvicorn would say 1011, which clients cannot tell from a crash."""
        self.pong_timer = None
        self.pending_ping_payload = None
        if self.close_sent or self.transport.is_closing():
            return
        code = int(CloseCode.TIMEOUT)
        self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": "no pong"})
        self.conn.fail(code, "no pong")
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        self._end()

    async def send(self, message: Any) -> None:
        """As uvicorn's; an HTTP answer ends the handshake too, else uvicorn reports one that was left open."""
        await super().send(message)
        if message["type"] == "websocket.http.response.body" and not message.get("more_body", False):
            self.handshake_complete = True

    async def run_asgi(self) -> None:
        """As uvicorn's; then make sure that the transport goes, even where its client reads no more."""
        await super().run_asgi()
        if self.close_timer is None:
            self._end()

    def _end(self) -> None:
        self.transport.close()
        asyncio.get_running_loop().call_later(ABORT_AFTER_S, self.transport.abort)
