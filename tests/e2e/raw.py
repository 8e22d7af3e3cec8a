"""Bytes on a TCP connection, for what no well-behaved client sends."""

import asyncio
import base64
import contextlib
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import h11
import httpx

from tests.e2e.talk import WAIT_S
from tests.e2e.visitor import Visitor


def handshake(visitor: Visitor, path: str, changed: Mapping[str, str | None] | None = None) -> bytes:
    """An opening handshake; `changed` replaces headers, or leaves them out where None."""
    headers: dict[str, str | None] = {
        "Host": f"{visitor.host}:{visitor.server.port}",
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(),
        "Sec-WebSocket-Version": "13",
    }
    headers |= changed or {}
    lines = [f"{name}: {value}" for name, value in headers.items() if value is not None]
    return request_bytes(path, lines)


def request_bytes(path: str, header_lines: list[str], *, method: str = "GET") -> bytes:
    """A request with exactly these header lines."""
    return "\r\n".join([f"{method} {path} HTTP/1.1", *header_lines, "", ""]).encode("latin-1")


@asynccontextmanager
async def tcp(visitor: Visitor) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A TCP connection to the server."""
    reader, writer = await asyncio.open_connection("127.0.0.1", visitor.server.port)
    try:
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def http_exchange(visitor: Visitor, request: bytes) -> httpx.Response:
    """Send `request` and read one response."""
    async with tcp(visitor) as (reader, writer):
        writer.write(request)
        return await read_response(reader)


async def read_response(reader: asyncio.StreamReader) -> httpx.Response:
    """One response; of a 101 only the head."""
    parser = h11.Connection(h11.CLIENT)
    parser.send(h11.Request(method="GET", target="/", headers=[("Host", "any")]))
    parser.send(h11.EndOfMessage())
    head: h11.Response | h11.InformationalResponse | None = None
    body = b""
    async with asyncio.timeout(WAIT_S):
        while True:
            event = parser.next_event()
            if event is h11.NEED_DATA:
                parser.receive_data(await reader.read(65536))
            elif isinstance(event, h11.Response | h11.InformationalResponse):
                head = event
                if event.status_code == 101:
                    break
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
            else:
                break
    assert head is not None, "the connection ended without a response"
    headers = [(name.decode(), value.decode()) for name, value in head.headers.raw_items()]
    return httpx.Response(head.status_code, headers=headers, content=body)


async def frames_until_close(reader: asyncio.StreamReader) -> list[tuple[int, bytes]]:
    """The server's frames as (opcode, payload), up to its close frame or the end of the connection."""
    frames: list[tuple[int, bytes]] = []
    with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
        while not frames or frames[-1][0] != OP_CLOSE:
            frames.append(await read_frame(reader))
    return frames


def close_code_of(frames: list[tuple[int, bytes]]) -> int:
    """The code of the close frame at the end; 1006 where there is none."""
    if not frames or frames[-1][0] != OP_CLOSE:
        return 1006
    return int.from_bytes(frames[-1][1][:2], "big")


def frame_bytes(opcode: int, payload: bytes, *, fin: bool = True) -> bytes:
    """A masked client frame with a payload of at most 125 bytes."""
    assert len(payload) <= 125
    mask = os.urandom(4)
    masked = bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))
    return bytes([(0x80 if fin else 0) | opcode, 0x80 | len(payload)]) + mask + masked


OP_TEXT = 1
OP_CLOSE = 8
OP_PING = 9


async def read_frame(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """The next frame of the server as (opcode, payload)."""
    first, second = await reader.readexactly(2)
    length = second & 0x7F
    if length == 126:
        length = int.from_bytes(await reader.readexactly(2), "big")
    elif length == 127:
        length = int.from_bytes(await reader.readexactly(8), "big")
    return first & 0x0F, await reader.readexactly(length)
