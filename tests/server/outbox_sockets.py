"""The client's side of an outbox, for both ways down: sockets made of two lists."""

import asyncio
from collections.abc import Callable
from typing import Any, Protocol

from realtime.protocol.frames import BINARY, CLOSE, TEXT, encode_frame
from realtime.sockets.asgi_outbox import make_outbox
from realtime.sockets.metrics import RouteMetrics
from realtime.sockets.outbox import Outbox, PreparedMessage, WriteCoalescer
from realtime.sockets.transport import TRANSPORT_EXTENSION


class Socket(Protocol):
    """The client's side of an outbox."""

    outbox: Outbox
    overflows: int

    def make(self, limit_bytes: int) -> Outbox: ...
    def pause(self) -> None: ...
    async def resume(self) -> None: ...
    def lose(self) -> None: ...
    def got(self) -> list[tuple[int, bytes]]: ...


class WireSocket:
    """A server with our extension: writes go through even while it says that the client is not reading."""

    def __init__(self) -> None:
        self.is_writable = True
        self.deflate_bits = 0
        self.on_flow: Callable[[], None] | None = None
        self.writes: list[bytes] = []
        self.buffered_bytes = 0
        self.is_aborted = False
        self.overflows = 0

    def make(self, limit_bytes: int, coalescer: WriteCoalescer | None = None) -> Outbox:
        async def send(event: Any) -> None:
            raise AssertionError("there is a shorter way")

        scope = {"extensions": {TRANSPORT_EXTENSION: self}}
        self.outbox = make_outbox(
            scope, send, limit_bytes, self._overflowed, RouteMetrics("", ""), coalescer or WriteCoalescer()
        )
        return self.outbox

    def write(self, frames: bytes) -> None:
        self.writes.append(frames)

    def close(self, code: int, reason: str) -> None:
        self.writes.append(encode_frame(CLOSE, code.to_bytes(2) + reason.encode()))

    def abort(self) -> None:
        self.is_aborted = True

    @property
    def direct(self) -> "WireSocket | None":
        return self if self.is_writable else None

    def pause(self) -> None:
        self.is_writable = False
        assert self.on_flow is not None
        self.on_flow()

    async def resume(self) -> None:
        self.is_writable = True
        assert self.on_flow is not None
        self.on_flow()
        await settle()

    def lose(self) -> None:
        self.is_writable = True
        if self.on_flow is not None:
            self.on_flow()

    def got(self) -> list[tuple[int, bytes]]:
        return decode(b"".join(self.writes))

    def _overflowed(self) -> None:
        self.overflows += 1
        self.outbox.close(4410, "slow", discard=True)


class AsgiSocket:
    """A stock server: `send` waits while the client is not reading."""

    def __init__(self) -> None:
        self.events: list[tuple[int, bytes]] = []
        self.overflows = 0
        self._may_send = asyncio.Event()
        self._may_send.set()
        self._is_lost = False

    def make(self, limit_bytes: int) -> Outbox:
        self.outbox = make_outbox(
            {}, self._send, limit_bytes, self._overflowed, RouteMetrics("", ""), WriteCoalescer()
        )
        return self.outbox

    async def _send(self, event: Any) -> None:
        await self._may_send.wait()
        if self._is_lost:
            raise OSError("the client has left")
        if event["type"] == "websocket.close":
            self.events.append((CLOSE, event["code"].to_bytes(2) + event["reason"].encode()))
        elif event.get("text") is not None:
            self.events.append((TEXT, event["text"].encode()))
        else:
            self.events.append((BINARY, event["bytes"]))

    def pause(self) -> None:
        self._may_send.clear()

    async def resume(self) -> None:
        self._may_send.set()
        await settle()

    def lose(self) -> None:
        self._is_lost = True
        self._may_send.set()

    def got(self) -> list[tuple[int, bytes]]:
        return self.events

    def _overflowed(self) -> None:
        self.overflows += 1
        self.outbox.close(4410, "slow", discard=True)


def decode(stream: bytes) -> list[tuple[int, bytes]]:
    """The messages in what a server wrote."""
    found, at = [], 0
    while at < len(stream):
        length, start = stream[at + 1], at + 2
        if length >= 126:
            size = 2 if length == 126 else 8
            length = int.from_bytes(stream[start : start + size])
            start += size
        found.append((stream[at] & 0x0F, stream[start : start + length]))
        at = start + length
    return found


async def settle() -> None:
    """Let everything run that can."""
    for _ in range(20):
        await asyncio.sleep(0)


def texts(*sizes: int) -> list[PreparedMessage]:
    """Frames of these sizes, each of another letter."""
    return [PreparedMessage(chr(ord("a") + number % 26) * size) for number, size in enumerate(sizes)]


def of(*frames: PreparedMessage) -> list[tuple[int, bytes]]:
    """Those frames as a client gets them."""
    return [(TEXT if frame.text is not None else BINARY, frame.payload) for frame in frames]
