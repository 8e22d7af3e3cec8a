"""The one place that writes to a socket: counts what a connection sends, and bounds what it still has to, in bytes.

Two ways down, one above: over a server that takes ready frames (`TransportOutbox`), and over ASGI's `send` (`AsgiOutbox`).
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Hashable, Iterable
from typing import Protocol

from realtime.protocol.deflate import Deflate
from realtime.sockets.asgi_outbox import AsgiOutbox
from realtime.sockets.backlogs import Backlogs
from realtime.sockets.completed import COMPLETED
from realtime.sockets.delivering import LOW_WATER_BYTES, Bounds, Delivering, count_on, nobody
from realtime.sockets.metrics import RouteMetrics
from realtime.sockets.prepared import (
    AS_BATCH_EVENTS,
    AS_ENCODED,
    AS_ENCODED_BATCH,
    AS_EVENTS,
    EncodedForm,
    PreparedBatch,
    PreparedMessage,
    as_deflated,
)
from realtime.sockets.transport import FrameWriter, SocketTransport, socket_transport
from realtime.sockets.types import Scope, Send

logger = logging.getLogger(__name__)


class Outbox(Protocol):
    """`pending_bytes` wait here, counted as they are before compression; with what the transport still holds they are
    at most the limit, replies that are waited for among them. `dropped` counts messages that never went out.

    A message beyond the limit calls `overflowed` once and is dropped with all that wait; one passes when no other waits
    here before it, whatever its size.

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
    def direct(self) -> FrameWriter | None:
        """Where an item may be written right now; None while something is in its way."""
        ...

    @property
    def form(self) -> EncodedForm:
        """What `direct` is given of an item."""
        ...

    def put(self, item: PreparedMessage | PreparedBatch) -> None:
        """Send it after all before it; returns at once."""
        ...

    def send(self, frame: PreparedMessage) -> Awaitable[None]:
        """`put`, then wait while the client is not reading: what a connection does with its own replies. To be awaited;
        COMPLETED where there is nothing to wait for.
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

    def abort(self) -> None:
        """End the socket now, without a close frame, and drop what waits here and in the transport."""
        ...

    def mark(self) -> Hashable | None:
        """Something that changes when the client takes a byte, as far as the server tells; None: nothing waits."""
        ...


def make_outbox(
    scope: Scope,
    send: Send,
    limit_bytes: int,
    overflowed: Callable[[], None],
    metrics: RouteMetrics,
    coalescer: "WriteCoalescer",
    *,
    has_batches: bool = False,
    deflate_min_bytes: int = 0,
    backlogs: Backlogs | None = None,
    cut: Callable[[], None] = nobody,
) -> Outbox:
    """The outbox for a socket, by what its server can do and its client takes. `limit_bytes` of 0 is no bound.

    What waits is counted in `backlogs`, which calls `cut` where all outboxes together hold too much.

    `has_batches`: the client takes several messages in one text frame. `deflate_min_bytes`: where the client takes
    compressed messages, smaller ones are sent plain.
    """
    bounds = Bounds(limit_bytes, overflowed, cut, backlogs or Backlogs())
    wire = socket_transport(scope)
    if wire is not None:
        form = AS_ENCODED_BATCH if has_batches else AS_ENCODED
        if wire.deflate_bits:
            deflate = Deflate(wire.deflate_bits, deflate_min_bytes)
            form = as_deflated(deflate, has_batches=has_batches)
        return TransportOutbox(wire, form, bounds, metrics, coalescer)
    return AsgiOutbox(send, AS_BATCH_EVENTS if has_batches else AS_EVENTS, bounds, metrics)


def put_to_all(outboxes: Iterable[Outbox], item: PreparedMessage | PreparedBatch) -> None:
    """`put` to each; that one fails is not the others' business.

    Written out: between two writes the kernel empties the caches, and every object and function that a delivery
    touches costs more than what it does.
    """
    count, wire = item.count, item.encoded
    metrics, metrics_count = None, 0
    for outbox in outboxes:
        direct, form = outbox.direct, outbox.form
        try:
            if direct is None:
                outbox.put(item)
                continue
            direct.write(wire if form is AS_ENCODED else form(item))
        except Exception:
            logger.exception("A delivery failed")
            continue
        outbox.messages_out += count
        # Of one route, as nearly always: counted together.
        if outbox.metrics is not metrics:
            count_on(metrics, item, metrics_count)
            metrics, metrics_count = outbox.metrics, 0
        metrics_count += 1
    count_on(metrics, item, metrics_count)


class WriteCoalescer:
    """The replies of a tick leave together, at its end: those to one client in one write, and those to many in a row.

    A client that waits is woken by a write, which costs a virtual machine more than the write; the next ones find it
    awake. In between, the interpreter is not thrown out of the caches by the kernel for every reply.
    """

    def __init__(self) -> None:
        self._waiting: list[TransportOutbox] = []

    def add(self, outbox: "TransportOutbox") -> None:
        """Let it write when the tick ends."""
        if not self._waiting:
            asyncio.get_running_loop().call_soon(self.flush)
        self._waiting.append(outbox)

    def flush(self) -> None:
        """Let all of them write now."""
        waiting, self._waiting = self._waiting, []
        for outbox in waiting:
            try:
                outbox.flush()
            except Exception:  # one socket's failure is not the others'
                logger.exception("Replies could not be sent")


class TransportOutbox(Delivering):
    """Ready frames to a socket that takes them: nothing waits here unless the client is not reading."""

    __slots__ = (
        "_coalescer",
        "_drained",
        "_flow_changes",
        "_is_closed",
        "_is_corked",
        "_transport",
        "_waiting",
        "_waiting_count",
    )

    def __init__(
        self,
        wire: SocketTransport,
        form: EncodedForm,
        bounds: Bounds,
        metrics: RouteMetrics,
        coalescer: WriteCoalescer,
    ) -> None:
        super().__init__(wire.direct, form, metrics, bounds)
        self._transport = wire
        self._coalescer = coalescer
        self._is_corked = False
        self._flow_changes = 0
        self._waiting: list[bytes] = []
        self._waiting_count = 0
        self._is_closed = False
        self._drained: asyncio.Event | None = None
        wire.on_flow = self._flow_changed

    @property
    def is_behind(self) -> bool:
        """As `Outbox.is_behind`: what is held back until the tick ends is not the client's fault."""
        return not self._transport.is_writable or (self.pending_bytes > 0 and not self._is_corked)

    def put(self, item: PreparedMessage | PreparedBatch) -> None:
        """As `Outbox.put`."""
        self._count(item)
        if self.direct is not None:
            self.direct.write(self.form(item))
        elif self._is_closed:
            self.dropped += item.count
        elif not self._transport.is_writable:
            self._wait(item)
        else:
            self._hold(item)
            self.flush()

    def send(self, frame: PreparedMessage) -> Awaitable[None]:
        """As `Outbox.send`; the frame leaves at the end of the tick, or with what is put after it."""
        if self.direct is not None:
            self._is_corked = True
            self._coalescer.add(self)
        if self._is_corked and self.pending_bytes + frame.size_bytes < LOW_WATER_BYTES:
            self._count(frame)
            self._hold(frame)
            return COMPLETED
        self.put(frame)
        return COMPLETED if self._transport.is_writable else self.drained()

    async def drained(self) -> None:
        """As `Outbox.drained`."""
        while (self.pending_bytes or not self._transport.is_writable) and not self._is_closed:
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
            self._transport.write(b"".join(self._waiting))
            self._take_all()
        self._transport.close(code, reason)
        self._wake()

    def abandon(self) -> None:
        """As `Outbox.abandon`."""
        self._overflowed = self._cut = nobody
        self._is_closed = True
        self.direct = None
        self._transport.on_flow = None
        self._forget()
        self._backlogs.note(self, 0)
        self._wake()

    def abort(self) -> None:
        """As `Outbox.abort`."""
        self.abandon()
        self._transport.abort()

    def mark(self) -> Hashable | None:
        """As `Outbox.mark`. Nothing is written to a transport that is full, so that its buffer only shrinks; to one that
        is not full, only with a message that is counted."""
        buffered_bytes = self._transport.buffered_bytes
        if not buffered_bytes and not self.pending_bytes:
            return None
        return buffered_bytes, self._flow_changes, self._transport.is_writable and self.messages_out

    def _wait(self, item: PreparedMessage | PreparedBatch) -> None:
        held_bytes = self.pending_bytes + self._transport.buffered_bytes
        if not self._overflows(held_bytes, item):
            self._hold(item)
            self._backlogs.note(self, held_bytes + item.size_bytes)

    def _hold(self, item: PreparedMessage | PreparedBatch) -> None:
        # From now on nothing may pass by what waits.
        self.direct = None
        self._waiting.append(self.form(item))
        self._waiting_count += item.count
        self.pending_bytes += item.size_bytes

    def _flow_changed(self) -> None:
        self._flow_changes += 1
        is_behind = not self._transport.is_writable
        self._backlogs.note(self, self.pending_bytes + self._transport.buffered_bytes if is_behind else 0)
        if not self._waiting and not self._is_closed:
            self.direct = self._transport.direct
        self.flush()

    def flush(self) -> None:
        """Write what waits, where the client reads."""
        self._is_corked = False
        if self._waiting and self._transport.is_writable and not self._is_closed:
            waiting = self._waiting
            self._take_all()
            self._transport.write(waiting[0] if len(waiting) == 1 else b"".join(waiting))
            self.direct = self._transport.direct
        if self._transport.is_writable:
            self._wake()

    def _forget(self) -> None:
        self.dropped += self._waiting_count
        self._take_all()

    def _take_all(self) -> None:
        self._waiting = []
        self._waiting_count = 0
        self.pending_bytes = 0

    def _wake(self) -> None:
        if self._drained is not None:
            self._drained.set()
            self._drained = None
