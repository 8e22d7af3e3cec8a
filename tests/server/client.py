"""A client of raw frames over TCP, for what no library would send."""

import asyncio
import base64
import contextlib
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.server.wire import CLOSE, TEXT, client_frame

WAIT_S = 15.0
# Well under the 10 s after which the server cuts whoever does not end a connection.
SOON_S = 5.0
Received = tuple[int, bytes]


def request(path: str = "/", method: str = "GET", /, **changed: str | None) -> bytes:
    """An opening handshake; keywords (`_` for `-`) replace headers, or leave them out where None."""
    headers: dict[str, str | None] = {
        "host": "acme.localhost",
        "upgrade": "websocket",
        "connection": "Upgrade",
        "sec-websocket-key": base64.b64encode(os.urandom(16)).decode(),
        "sec-websocket-version": "13",
    }
    headers |= {name.replace("_", "-"): value for name, value in changed.items()}
    lines = [f"{name}: {value}" for name, value in headers.items() if value is not None]
    return "\r\n".join([f"{method} {path} HTTP/1.1", *lines, "", ""]).encode("latin-1")


class Client:
    """One TCP connection. Whatever does not come within WAIT_S fails the test."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, *frames: bytes) -> None:
        """Write them at once."""
        self.writer.write(b"".join(frames))

    def text(self, text: str) -> None:
        """Send a text message."""
        self.send(client_frame(TEXT, text.encode()))

    async def drain(self) -> None:
        """Wait until the server has taken most of what was sent."""
        async with asyncio.timeout(WAIT_S):
            await self.writer.drain()

    async def head(self) -> bytes:
        """The head of an HTTP answer."""
        async with asyncio.timeout(WAIT_S):
            return await self.reader.readuntil(b"\r\n\r\n")

    async def answer(self) -> tuple[int, bytes, bytes]:
        """An HTTP answer that ends the connection: status, head, body."""
        async with asyncio.timeout(WAIT_S):
            head, _, body = (await self.reader.read()).partition(b"\r\n\r\n")
        return int(head.split(b" ")[1]), head, body

    async def open(self, path: str = "/", **changed: str | None) -> bytes:
        """Do the opening handshake; returns the head of the answer."""
        self.send(request(path, **changed))
        head = await self.head()
        assert b" 101 " in head, head
        return head

    async def frame(self) -> Received:
        """The next frame: opcode and payload."""
        async with asyncio.timeout(WAIT_S):
            first, second = await self.reader.readexactly(2)
            assert first & 0xF0 == 0x80, "whole, and no reserved bit"
            length = second & 0x7F
            assert second < 128, "unmasked"
            if length >= 126:
                length = int.from_bytes(await self.reader.readexactly(2 if length == 126 else 8))
            return first & 0x0F, await self.reader.readexactly(length)

    async def frames(self) -> list[Received]:
        """All frames, up to a close frame or the end."""
        found: list[Received] = []
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while not found or found[-1][0] != CLOSE:
                found.append(await self.frame())
        return found

    async def close_code(self) -> int:
        """The code of the close frame that comes, whatever comes before it (1005: none in it; 1006: no frame)."""
        found = await self.frames()
        if not found or found[-1][0] != CLOSE:
            return 1006
        return int.from_bytes(found[-1][1][:2]) if found[-1][1] else 1005

    async def ended(self, wait_s: float = WAIT_S) -> bytes:
        """What comes until the server ends the connection."""
        async with asyncio.timeout(wait_s):
            try:
                return await self.reader.read()
            except ConnectionError:
                return b""

    def reset(self) -> None:
        """Cut the connection with a RST."""
        linger = (1).to_bytes(4, "little") + bytes(4)
        plain: socket.socket = self.writer.get_extra_info("socket")
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.writer.transport.abort()


@asynccontextmanager
async def connect(port: int, *, receive_bytes: int = 0) -> AsyncIterator[Client]:
    """A TCP connection to the server; `receive_bytes` makes the buffers of one that does not read small."""
    plain = socket.socket()
    if receive_bytes:
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    plain.setblocking(False)
    await asyncio.get_running_loop().sock_connect(plain, ("127.0.0.1", port))
    limit = receive_bytes or 2**16
    reader, writer = await asyncio.open_connection(sock=plain, limit=limit)
    try:
        yield Client(reader, writer)
    finally:
        writer.transport.abort()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


@asynccontextmanager
async def opened(port: int, path: str = "/", **options: int) -> AsyncIterator[Client]:
    """An open WebSocket."""
    async with connect(port, **options) as client:
        await client.open(path)
        yield client
