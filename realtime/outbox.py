"""The one place that writes to a socket: counts what a connection sends, and bounds what it still has to, in bytes.

Two ways down, one above: over a server that takes ready frames (`WireOutbox`), and over ASGI's `send` (`AsgiOutbox`).
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Protocol

from realtime.done import DONE
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
from realtime.metrics import RouteMetrics
from realtime.protocol.deflate import Deflate
from realtime.types import Scope, Send
from realtime.wire import Transport, Wire, wire_of

logger = logging.getLogger(__name__)

# While a connection owes its client more than this, it takes no further request from it.
LOW_WATER_BYTES = 64 * 1024


class Outbox(Protocol):
    """`pending_bytes` wait here, at most the limit, counted as they are before compression; `dropped` counts messages
    that never went out.

    A message beyond the limit calls `overflowed` once and is dropped with all that wait; one that is larger than the
    limit by itself passes when nothing waits before it.

    While `direct` is not None, `direct.write(form(item))` is all that `put` does: for who sends to a whole crowd.
    """

    pending_bytes: int
    dropped: int
    # All that was to be sent, the dropped included; here, and in the figures of the route.
    messages_out: int
    metrics: RouteMetrics

    @property
    def is_behind(self) -> bool:
        """Whether the client has not taken yet what it was sent."""
        ...

    @property
    def direct(self) -> Transport | None:
        """Where an item may be written right now; None while something is in its way."""
        ...

    @property
    def form(self) -> WireForm:
        """What `direct` is given of an item."""
        ...

    def put(self, item: Frame | Batch) -> None:
        """Send it after all before it; returns at once."""
        ...

    def send(self, frame: Frame) -> Awaitable[None]:
        """`put`, then wait while the client is not reading: what a connection does with its own replies. To be awaited;
        DONE where there is nothing to wait for.
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


def _nobody() -> None:
    """Who is told of an overflow after the end: a connection and its outbox shall not keep each other alive."""


def make_outbox(
    scope: Scope,
    send: Send,
    limit_bytes: int,
    overflowed: Callable[[], None],
    metrics: RouteMetrics,
    corks: "Corks",
    *,
    has_batches: bool = False,
    deflate_min_bytes: int = 0,
) -> Outbox:
    """The outbox for a socket, by what its server can do and its client takes. `limit_bytes` of 0 is no bound.

    `has_batches`: the client takes several messages in one text frame. `deflate_min_bytes`: where the client takes
    compressed messages, smaller ones are sent plain.
    """
    wire = wire_of(scope)
    if wire is not None:
        form = AS_BATCH_WIRE if has_batches else AS_WIRE
        if wire.deflate_bits:
            deflate = Deflate(wire.deflate_bits, deflate_min_bytes)
            form = as_deflated_wire(deflate, has_batches=has_batches)
        return WireOutbox(wire, form, limit_bytes, overflowed, metrics, corks)
    return AsgiOutbox(send, AS_BATCH_EVENTS if has_batches else AS_EVENTS, limit_bytes, overflowed, metrics)


def put_to_all(outboxes: Iterable[Outbox], item: Frame | Batch) -> None:
    """`put` to each; that one fails is not the others' business.

    Written out: between two writes the kernel empties the caches, and every object and function that a delivery
    touches costs more than what it does.
    """
    count, wire = item.count, item.wire
    metrics, metrics_count = None, 0
    for outbox in outboxes:
        direct, form = outbox.direct, outbox.form
        try:
            if direct is None:
                outbox.put(item)
                continue
            direct.write(wire if form is AS_WIRE else form(item))
        except Exception:
            logger.exception("A delivery failed")
            continue
        outbox.messages_out += count
        # Of one route, as nearly always: counted together.
        if outbox.metrics is not metrics:
            _count_on(metrics, item, metrics_count)
            metrics, metrics_count = outbox.metrics, 0
        metrics_count += 1
    _count_on(metrics, item, metrics_count)


def _count_on(metrics: RouteMetrics | None, item: Frame | Batch, deliveries: int) -> None:
    if metrics is not None:
        metrics.messages_out += item.count * deliveries
        metrics.bytes_out += item.size_bytes * deliveries


class Corks:
    """The replies of a tick leave together, at its end: those to one client in one write, and those to many in a row.

    A client that waits is woken by a write, which costs a virtual machine more than the write; the next ones find it
    awake. In between, the interpreter is not thrown out of the caches by the kernel for every reply.
    """

    def __init__(self) -> None:
        self._corked: list[WireOutbox] = []

    def add(self, outbox: "WireOutbox") -> None:
        """Let it write when the tick ends."""
        if not self._corked:
            asyncio.get_running_loop().call_soon(self.pull)
        self._corked.append(outbox)

    def pull(self) -> None:
        """Let all of them write now."""
        corked, self._corked = self._corked, []
        for outbox in corked:
            try:
                outbox.flush()
            except Exception:  # one socket's failure is not the others'
                logger.exception("Replies could not be sent")


class Delivering:
    """What every outbox has: what is looked at for each delivery, side by side."""

    __slots__ = ("direct", "dropped", "form", "messages_out", "metrics", "pending_bytes")

    def __init__(self, direct: Transport | None, form: WireForm, metrics: RouteMetrics) -> None:
        self.direct = direct
        self.form = form
        self.metrics = metrics
        self.messages_out = 0
        self.dropped = 0
        self.pending_bytes = 0

    def _count(self, item: Frame | Batch) -> None:
        self.messages_out += item.count
        _count_on(self.metrics, item, 1)


class WireOutbox(Delivering):
    """Ready frames to a socket that takes them: nothing waits here unless the client is not reading."""

    __slots__ = (
        "_corks",
        "_drained",
        "_is_closed",
        "_is_corked",
        "_limit_bytes",
        "_overflowed",
        "_waiting",
        "_waiting_count",
        "_wire",
    )

    def __init__(
        self,
        wire: Wire,
        form: WireForm,
        limit_bytes: int,
        overflowed: Callable[[], None],
        metrics: RouteMetrics,
        corks: Corks,
    ) -> None:
        super().__init__(wire.direct, form, metrics)
        self._wire = wire
        self._corks = corks
        self._is_corked = False
        self._limit_bytes = limit_bytes
        self._overflowed = overflowed
        self._waiting: list[bytes] = []
        self._waiting_count = 0
        self._is_closed = False
        self._drained: asyncio.Event | None = None
        wire.on_flow = self._flow_changed

    @property
    def is_behind(self) -> bool:
        """As `Outbox.is_behind`: what is held back until the tick ends is not the client's fault."""
        return not self._wire.is_writable or (self.pending_bytes > 0 and not self._is_corked)

    def put(self, item: Frame | Batch) -> None:
        """As `Outbox.put`."""
        self._count(item)
        if self.direct is not None:
            self.direct.write(self.form(item))
        elif self._is_closed:
            self.dropped += item.count
        elif not self._wire.is_writable:
            self._wait(item)
        else:
            self._hold(item)
            self.flush()

    def send(self, frame: Frame) -> Awaitable[None]:
        """As `Outbox.send`; the frame leaves at the end of the tick, or with what is put after it."""
        if self.direct is not None:
            self._is_corked = True
            self._corks.add(self)
        if self._is_corked and self.pending_bytes < LOW_WATER_BYTES:
            self._count(frame)
            self._hold(frame)
            return DONE
        self.put(frame)
        return DONE if self._wire.is_writable else self.drained()

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
        self.direct = None
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
        self.direct = None
        self._wire.on_flow = None
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
        # From now on nothing may pass by what waits.
        self.direct = None
        self._waiting.append(self.form(item))
        self._waiting_count += item.count
        self.pending_bytes += item.size_bytes

    def _flow_changed(self) -> None:
        if not self._waiting and not self._is_closed:
            self.direct = self._wire.direct
        self.flush()

    def flush(self) -> None:
        """Write what waits, where the client reads."""
        self._is_corked = False
        if self._waiting and self._wire.is_writable and not self._is_closed:
            waiting, self._waiting = self._waiting, []
            self._waiting_count = 0
            self.pending_bytes = 0
            self._wire.write(waiting[0] if len(waiting) == 1 else b"".join(waiting))
            self.direct = self._wire.direct
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


class AsgiOutbox(Delivering):
    """Over ASGI's `send`, by a task that lives while something waits."""

    __slots__ = (
        "_drained",
        "_events",
        "_is_closed",
        "_is_sending",
        "_last",
        "_limit_bytes",
        "_overflowed",
        "_queue",
        "_send",
        "_task",
    )

    def __init__(
        self,
        send: Send,
        events: EventForm,
        limit_bytes: int,
        overflowed: Callable[[], None],
        metrics: RouteMetrics,
    ) -> None:
        super().__init__(None, AS_WIRE, metrics)
        self._send = send
        self._events = events
        self._limit_bytes = limit_bytes
        self._overflowed = overflowed
        # A list: an empty deque takes ten times as much, and with most connections nothing waits.
        self._queue: list[Frame | Batch] = []
        self._task: asyncio.Task[None] | None = None
        self._is_sending = False
        self._is_closed = False
        self._last: dict[str, Any] | None = None
        self._drained: asyncio.Event | None = None

    @property
    def is_behind(self) -> bool:
        """As `Outbox.is_behind`."""
        return self.pending_bytes > 0

    def put(self, item: Frame | Batch) -> None:
        """As `Outbox.put`."""
        self._count(item)
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

    async def send(self, frame: Frame) -> None:
        """As `Outbox.send`; sent when it is awaited."""
        if self._is_sending or self._is_closed or self._queue:
            self.put(frame)
        else:
            self._count(frame)
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
            for event in self._events(item):
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
