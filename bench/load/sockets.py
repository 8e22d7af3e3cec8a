"""Client sockets on picows: a reader for the set-up, and the shortest way to a counter afterwards."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from socket import SO_RCVBUF, SOL_SOCKET

from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

# No message that is measured is smaller; engine.io's pings and the like are.
MEASURED_MIN_BYTES = 64
HANDSHAKE_TIMEOUT_S = 30.0
SET_UP_TIMEOUT_S = 30.0
READ_BUFFER_BYTES = 4096
# Less than this and the kernel, whose segments are 64 KiB on loopback, hands over a few bytes a second.
KERNEL_BUFFER_BYTES = 256 * 1024

Sink = Callable[[WSFrame], None]


class Socket(WSListener):
    """One connection. While `sink` is set it is given every frame of a measured size, and nothing else happens."""

    transport: WSTransport

    def __init__(self, *, answers: Mapping[bytes, bytes]) -> None:
        """`answers`: small text frames that are answered at once (engine.io's ping)."""
        self.sink: Sink | None = None
        self.close_code: int | None = None
        self.is_closed = False
        self._answers = answers
        self._frames: asyncio.Queue[bytes] = asyncio.Queue()

    def on_ws_connected(self, transport: WSTransport) -> None:
        """Called by picows."""
        self.transport = transport

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """Called by picows for every frame; pings it answers itself."""
        if self.sink is not None and frame.payload_size >= MEASURED_MIN_BYTES:
            self.sink(frame)
            return
        if frame.msg_type == WSMsgType.CLOSE:
            self.close_code = int(frame.get_close_code().value)
            transport.disconnect()
            return
        payload = frame.get_payload_as_bytes()
        answer = self._answers.get(payload)
        if answer is not None:
            self.send(answer)
        elif frame.msg_type == WSMsgType.TEXT:
            self._frames.put_nowait(payload)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """Called by picows."""
        self.is_closed = True
        self._frames.put_nowait(b"")

    def send(self, message: bytes) -> None:
        """Send text."""
        self.transport.send(WSMsgType.TEXT, message)

    def stop_reading(self) -> None:
        """Read no more, and let this end's kernel take little (its own limit is 32 MB)."""
        transport = self.transport.underlying_transport
        transport.get_extra_info("socket").setsockopt(SOL_SOCKET, SO_RCVBUF, KERNEL_BUFFER_BYTES)
        transport.pause_reading()

    def read_on(self) -> None:
        """Read again."""
        self.transport.underlying_transport.resume_reading()

    async def wait_closed(self, timeout_s: float) -> None:
        """Until it is closed, or for so long."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while not self.is_closed:
                    await self._frames.get()

    async def receive(self) -> bytes:
        """The next text frame, of those that no sink took. Raises ConnectionError when the connection has ended."""
        async with asyncio.timeout(SET_UP_TIMEOUT_S):
            frame = await self._frames.get()
        if self.is_closed and not frame:
            raise ConnectionError(f"The server closed the socket ({self.close_code}).")
        return frame

    async def receive_with(self, mark: bytes) -> bytes:
        """The next text frame that has `mark` in it."""
        while mark not in (frame := await self.receive()):
            pass
        return frame


async def connect(
    port: int, path: str, *, headers: Mapping[str, str], answers: Mapping[bytes, bytes]
) -> Socket:
    """A connection to 127.0.0.1, after its handshake."""
    socket = Socket(answers=answers)
    await ws_connect(
        lambda: socket,
        f"ws://127.0.0.1:{port}{path}",
        extra_headers=headers,
        websocket_handshake_timeout=HANDSHAKE_TIMEOUT_S,
        read_buffer_init_size=READ_BUFFER_BYTES,
    )
    return socket


async def disconnect(sockets: list[Socket]) -> None:
    """Close them all, without waiting for the server's word."""
    for socket in sockets:
        if not socket.is_closed:
            socket.transport.disconnect()
    await asyncio.sleep(0.1)
