"""The one place that writes to a socket: what a connection still has to send, bounded in bytes.

Two ways down, one above: over a server that takes ready frames (`WireOutbox`), and over ASGI's `send` (`AsgiOutbox`).
"""

import asyncio
from collections.abc import Callable
from typing import Any, Protocol

from realtime.frame import (
    AS_BATCH_EVENTS,
    AS_BATCH_WIRE,
    AS_EVENTS,
    AS_WIRE,
    Batch,
    EventForm,
    Frame,
    WireForm,
    as_deflated_wire,
)
from realtime.protocol.deflate import Deflate
from realtime.types import Scope, Send

# The ASGI scope extension of servers that take ready frames.
TRANSPORT_EXTENSION = "rockstar.transport"
# While a connection owes its client more than this, it takes no further request from it.
LOW_WATER_BYTES = 64 * 1024


class Outbox(Protocol):
    """`pending_bytes` wait here, at most the limit, counted as they are before compression; `dropped` counts messages
    that never went out.

    A message beyond the limit calls `overflowed` once and is dropped with all that wait; one that is larger than the
    limit by itself passes when nothing waits before it.
    """

    pending_bytes: int
    dropped: int

    def put(self, item: Frame | Batch) -> None:
        """Send it after all before it; returns at once."""
        ...

    async def send(self, frame: Frame, *, is_one_of_many: bool = False) -> None:
        """`put`, then wait while the client is not reading: what a connection does with its own replies.

        `is_one_of_many`: others are likely to follow in this tick, and may share a write with it.
        """
        ...

    async def drained(self) -> None:
        """Wait until nothing is pending, or the socket is closed."""
        ...

    def close(self, code: int, reason: str, *, discard: bool) -> None:
        """End the socket after what waits, or instead of it (`discard`)."""
        ...

    def abandon(self) -> None:
        """The socket is gone: drop what waits."""
        ...


class Wire(Protocol):
    """What the server gives in its extension: a socket that takes ready frames."""

    is_writable: bool
    on_writable: Callable[[], None] | None

    @property
    def deflate_bits(self) -> int:
        """The window that messages may be compressed with; 0: the client takes none that are."""
        ...

    @property
    def has_queued(self) -> bool:
        """Whether more messages of the client have come already."""
        ...

    def write(self, frames: bytes) -> None:
        """One write; bytes that the client does not take make `is_writable` false."""
        ...

    def close(self, code: int, reason: str) -> None:
        """Send a close frame and begin the closing handshake."""
        ...


def _nobody() -> None:
    """Who is told of an overflow after the end: a connection and its outbox shall not keep each other alive."""


def make_outbox(
    scope: Scope,
    send: Send,
    limit_bytes: int,
    overflowed: Callable[[], None],
    *,
    has_batches: bool = False,
    deflate_min_bytes: int = 0,
) -> Outbox:
    """The outbox for a socket, by what its server can do and its client takes. `limit_bytes` of 0 is no bound.

    `has_batches`: the client takes several messages in one text frame. `deflate_min_bytes`: where the client takes
    compressed messages, smaller ones are sent plain.
    """
    wire: Wire | None = scope.get("extensions", {}).get(TRANSPORT_EXTENSION)
    if wire is not None:
        form = AS_BATCH_WIRE if has_batches else AS_WIRE
        if wire.deflate_bits:
            deflate = Deflate(wire.deflate_bits, deflate_min_bytes)
            form = as_deflated_wire(deflate, has_batches=has_batches)
        return WireOutbox(wire, form, limit_bytes, overflowed)
    return AsgiOutbox(send, AS_BATCH_EVENTS if has_batches else AS_EVENTS, limit_bytes, overflowed)


class WireOutbox:
    """Ready frames to a socket that takes them: nothing waits here unless the client is not reading."""

    __slots__ = (
        "_drained",
        "_form",
        "_is_closed",
        "_limit_bytes",
        "_overflowed",
        "_uncorking",
        "_waiting",
        "_waiting_count",
        "_wire",
        "dropped",
        "pending_bytes",
    )

    def __init__(self, wire: Wire, form: WireForm, limit_bytes: int, overflowed: Callable[[], None]) -> None:
        self._wire = wire
        self._form = form
        self._limit_bytes = limit_bytes
        self._overflowed = overflowed
        self._waiting: list[bytes] = []
        self._waiting_count = 0
        self._uncorking: asyncio.Handle | None = None
        self._is_closed = False
        self._drained: asyncio.Event | None = None
        self.pending_bytes = 0
        self.dropped = 0
        wire.on_writable = self._flush

    def put(self, item: Frame | Batch) -> None:
        """As `Outbox.put`."""
        if self._is_closed:
            self.dropped += item.count
        elif not self._wire.is_writable:
            self._wait(item)
        elif self._waiting:
            self._hold(item)
            self._flush()
        else:
            self._wire.write(self._form(item))

    async def send(self, frame: Frame, *, is_one_of_many: bool = False) -> None:
        """As `Outbox.send`. Replies to messages that came together leave together, in one write."""
        wire = self._wire
        if (
            (wire.has_queued or is_one_of_many)
            and self.pending_bytes < LOW_WATER_BYTES
            and wire.is_writable
            and not self._is_closed
        ):
            # As `put` does, without the calls: this is the way of every reply.
            self._waiting.append(self._form(frame))
            self._waiting_count += 1
            self.pending_bytes += frame.size_bytes
            if self._uncorking is None:
                self._uncorking = asyncio.get_running_loop().call_soon(self._uncork)
        elif wire.is_writable and not self._waiting and not self._is_closed:
            wire.write(self._form(frame))
        else:
            self.put(frame)
        if not wire.is_writable:
            await self.drained()

    async def drained(self) -> None:
        """As `Outbox.drained`."""
        while (self.pending_bytes or not self._wire.is_writable) and not self._is_closed:
            if self._drained is None:
                self._drained = asyncio.Event()
            await self._drained.wait()

    def close(self, code: int, reason: str, *, discard: bool) -> None:
        """As `Outbox.close`."""
        if self._is_closed:
            return
        self._is_closed = True
        if discard:
            self._forget()
        elif self._waiting:
            self._wire.write(b"".join(self._waiting))
            self._waiting = []
            self.pending_bytes = 0
        self._wire.close(code, reason)
        self._wake()

    def abandon(self) -> None:
        """As `Outbox.abandon`."""
        self._overflowed = _nobody
        self._is_closed = True
        self._wire.on_writable = None
        self._forget()
        self._wake()

    def _wait(self, item: Frame | Batch) -> None:
        if (
            self._limit_bytes
            and self.pending_bytes
            and self.pending_bytes + item.size_bytes > self._limit_bytes
        ):
            self.dropped += item.count
            self._overflowed()
        else:
            self._hold(item)

    def _hold(self, item: Frame | Batch) -> None:
        self._waiting.append(self._form(item))
        self._waiting_count += item.count
        self.pending_bytes += item.size_bytes

    def _uncork(self) -> None:
        self._uncorking = None
        self._flush()

    def _flush(self) -> None:
        if self._waiting and self._wire.is_writable and not self._is_closed:
            waiting, self._waiting = self._waiting, []
            self._waiting_count = 0
            self.pending_bytes = 0
            self._wire.write(waiting[0] if len(waiting) == 1 else b"".join(waiting))
        if self._wire.is_writable:
            self._wake()

    def _forget(self) -> None:
        self.dropped += self._waiting_count
        self._waiting = []
        self._waiting_count = 0
        self.pending_bytes = 0

    def _wake(self) -> None:
        if self._drained is not None:
            self._drained.set()
            self._drained = None


class AsgiOutbox:
    """Over ASGI's `send`, by a task that lives while something waits."""

    __slots__ = (
        "_drained",
        "_form",
        "_is_closed",
        "_is_sending",
        "_last",
        "_limit_bytes",
        "_overflowed",
        "_queue",
        "_send",
        "_task",
        "dropped",
        "pending_bytes",
    )

    def __init__(self, send: Send, form: EventForm, limit_bytes: int, overflowed: Callable[[], None]) -> None:
        self._send = send
        self._form = form
        self._limit_bytes = limit_bytes
        self._overflowed = overflowed
        # A list: an empty deque takes ten times as much, and with most connections nothing waits.
        self._queue: list[Frame | Batch] = []
        self._task: asyncio.Task[None] | None = None
        self._is_sending = False
        self._is_closed = False
        self._last: dict[str, Any] | None = None
        self._drained: asyncio.Event | None = None
        self.pending_bytes = 0
        self.dropped = 0

    def put(self, item: Frame | Batch) -> None:
        """As `Outbox.put`."""
        if self._is_closed:
            self.dropped += item.count
            return
        if (
            self._limit_bytes
            and self.pending_bytes
            and self.pending_bytes + item.size_bytes > self._limit_bytes
        ):
            self.dropped += item.count
            self._overflowed()
            return
        self._queue.append(item)
        self.pending_bytes += item.size_bytes
        if not self._is_sending:
            self._start()

    async def send(self, frame: Frame, *, is_one_of_many: bool = False) -> None:
        """As `Outbox.send`."""
        if self._is_sending or self._is_closed or self._queue:
            self.put(frame)
        else:
            self.pending_bytes += frame.size_bytes
            await self._send_now(frame)
        if self.pending_bytes > LOW_WATER_BYTES:
            await self.drained()

    async def drained(self) -> None:
        """As `Outbox.drained`."""
        while self.pending_bytes and not self._is_closed:
            if self._drained is None:
                self._drained = asyncio.Event()
            await self._drained.wait()

    def close(self, code: int, reason: str, *, discard: bool) -> None:
        """As `Outbox.close`."""
        if self._is_closed:
            return
        self._is_closed = True
        self._last = {"type": "websocket.close", "code": code, "reason": reason}
        if discard:
            self._forget()
            if self._task is not None:
                self._task.cancel()
                self._is_sending = False
        if not self._is_sending:
            self._start()
        self._wake()

    def abandon(self) -> None:
        """As `Outbox.abandon`."""
        self._overflowed = _nobody
        self._gone()
        if self._task is not None:
            self._task.cancel()

    async def _send_now(self, frame: Frame) -> None:
        self._is_sending = True
        try:
            await self._write(frame)
        finally:
            # The sender may have been cancelled: the others go on.
            self._is_sending = False
            if self._queue or self._last is not None:
                self._start()

    def _start(self) -> None:
        self._is_sending = True
        self._task = asyncio.create_task(self._drain())

    async def _drain(self) -> None:
        while self._queue:
            await self._write(self._queue.pop(0))
        if self._last is not None:
            last, self._last = self._last, None
            await self._write_event(last)
        self._is_sending = False
        self._task = None

    async def _write(self, item: Frame | Batch) -> None:
        try:
            for event in self._form(item):
                await self._write_event(event)
        finally:
            self.pending_bytes = max(self.pending_bytes - item.size_bytes, 0)
            if not self.pending_bytes:
                self._wake()

    async def _write_event(self, event: dict[str, Any]) -> None:
        try:
            await self._send(event)
        except (OSError, RuntimeError):
            # Servers raise one or the other when the client left first; the reader hears of it as a disconnect.
            self._gone()

    def _gone(self) -> None:
        self._is_closed = True
        self._last = None
        self._forget()
        self._wake()

    def _forget(self) -> None:
        self.dropped += sum(item.count for item in self._queue)
        self._queue.clear()
        self.pending_bytes = 0

    def _wake(self) -> None:
        if self._drained is not None:
            self._drained.set()
            self._drained = None
