"""The one place that writes to a socket. It counts what a connection sends, and bounds what waits, in bytes.

`TransportOutbox` is for servers that take prepared messages. `asgi_outbox` has the one for other servers.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Hashable, Iterable
from typing import NamedTuple

from realtime.sockets.backlogs import Backlogs
from realtime.sockets.completed import COMPLETED
from realtime.sockets.metrics import RouteMetrics
from realtime.sockets.prepared import AS_ENCODED, EncodedForm, PreparedBatch, PreparedMessage
from realtime.sockets.transport import FrameWriter, SocketTransport

logger = logging.getLogger(__name__)

# While more bytes than this wait for a client, its connection takes no further request from it.
LOW_WATER_BYTES = 64 * 1024


def nobody() -> None:
    """Replaces the callbacks after the end, so that a connection and its outbox do not keep
    each other alive."""


class Bounds(NamedTuple):
    """How much an outbox may hold, and what to call if it holds too much: alone, or
    together with all others. A `limit_bytes` of 0 is no bound."""

    limit_bytes: int
    overflowed: Callable[[], None]
    cut: Callable[[], None]
    backlogs: Backlogs


class Outbox:
    """The messages to one connection, in order.

    `pending_bytes` is the size of the messages that wait here, before compression and including replies.
    Together with what the transport holds it is at most the limit. `dropped` counts messages that were never
    sent. `messages_out` counts all messages, including dropped ones; the route's figures count them too.

    A message above the limit is dropped together with all that wait, and `overflowed` is called once. If no
    other message waits here, a message passes whatever its size.

    While `direct` is not None, `put` counts the item and calls `direct.write(form(item))`; `put_to_all` does
    both itself. `direct` is None while earlier messages wait or the client does not read.
    """

    __slots__ = (
        "_backlogs",
        "_cut",
        "_limit_bytes",
        "_overflowed",
        "direct",
        "dropped",
        "form",
        "messages_out",
        "metrics",
        "pending_bytes",
    )

    def __init__(
        self, direct: FrameWriter | None, form: EncodedForm, metrics: RouteMetrics, bounds: Bounds
    ) -> None:
        self.direct = direct
        self.form = form
        self.metrics = metrics
        self._limit_bytes, self._overflowed, self._cut, self._backlogs = bounds
        self.messages_out = 0
        self.dropped = 0
        self.pending_bytes = 0

    @property
    def is_behind(self) -> bool:
        """Whether the client has not yet taken everything that was sent to it."""
        raise NotImplementedError

    def put(self, item: PreparedMessage | PreparedBatch) -> None:
        """Send `item` after those put before it; returns at once."""
        raise NotImplementedError

    def send(self, frame: PreparedMessage) -> Awaitable[None]:
        """`put`, then wait while the client is not reading; used for replies.

        The result must be awaited; it is COMPLETED if there is nothing to wait for.
        """
        raise NotImplementedError

    async def drained(self) -> None:
        """Wait until nothing is pending, or the socket is closed."""
        raise NotImplementedError

    def close(self, code: int, reason: str, *, discard: bool) -> None:
        """Close the socket after the waiting messages; `discard` drops them."""
        raise NotImplementedError

    def abandon(self) -> None:
        """Drop the waiting messages, because the socket is gone."""
        raise NotImplementedError

    def abort(self) -> None:
        """End the socket now, without a close frame, and drop what waits here and in the transport."""
        raise NotImplementedError

    def mark(self) -> Hashable | None:
        """A value that changes when the client takes a byte, if the server can tell; None if nothing waits."""
        raise NotImplementedError

    def cut(self) -> None:
        """As `Holder.cut`."""
        self._cut()

    def _overflows(self, held_bytes: int, item: PreparedMessage | PreparedBatch) -> bool:
        """Whether `item` exceeds the limit in addition to `held_bytes`; it is then dropped
        and the connection is told."""
        if not (
            self._limit_bytes and self.pending_bytes and held_bytes + item.size_bytes > self._limit_bytes
        ):
            return False
        self.dropped += item.count
        self._overflowed()
        return True

    def _count(self, item: PreparedMessage | PreparedBatch) -> None:
        self.messages_out += item.count
        count_on(self.metrics, item, 1)


def count_on(metrics: RouteMetrics | None, item: PreparedMessage | PreparedBatch, deliveries: int) -> None:
    """Count `deliveries` deliveries of an item in the figures of a route."""
    if metrics is not None:
        metrics.messages_out += item.count * deliveries
        metrics.bytes_out += item.size_bytes * deliveries


def put_to_all(outboxes: Iterable[Outbox], item: PreparedMessage | PreparedBatch) -> None:
    """`put` to each outbox. A failure of one is logged and does not affect the others.

    The usual case is written inline, because it runs once for each subscriber ("Why it is
    so" in docs/performance.md).
    """
    count, encoded = item.count, item.encoded
    metrics, metrics_count = None, 0
    for outbox in outboxes:
        direct, form = outbox.direct, outbox.form
        try:
            if direct is None:
                outbox.put(item)
                continue
            direct.write(encoded if form is AS_ENCODED else form(item))
        except Exception:
            logger.exception("A delivery failed")
            continue
        outbox.messages_out += count
        # Consecutive outboxes of one route, which is the usual case, are counted together.
        if outbox.metrics is not metrics:
            count_on(metrics, item, metrics_count)
            metrics, metrics_count = outbox.metrics, 0
        metrics_count += 1
    count_on(metrics, item, metrics_count)


class WriteCoalescer:
    """Write coalescing: replies of one loop iteration are written together at its end, one
    write for each client.

    docs/performance.md has the reason and the effect ("Why it is so").
    """

    def __init__(self) -> None:
        self._waiting: list[TransportOutbox] = []

    def add(self, outbox: "TransportOutbox") -> None:
        """Flush `outbox` at the end of this loop iteration."""
        if not self._waiting:
            asyncio.get_running_loop().call_soon(self.flush)
        self._waiting.append(outbox)

    def flush(self) -> None:
        """Flush all waiting outboxes now."""
        waiting, self._waiting = self._waiting, []
        for outbox in waiting:
            try:
                outbox.flush()
            except Exception:  # a failure of one socket does not affect the others
                logger.exception("Replies could not be sent")


class TransportOutbox(Outbox):
    """Writes prepared frames to the server's transport. Messages wait here only for the end of the loop
    iteration, or while the client is not reading."""

    __slots__ = (
        "_coalescer",
        "_drained",
        "_flow_changes",
        "_is_closed",
        "_is_coalescing",
        "_transport",
        "_waiting",
        "_waiting_count",
    )

    def __init__(
        self,
        transport: SocketTransport,
        form: EncodedForm,
        bounds: Bounds,
        metrics: RouteMetrics,
        coalescer: WriteCoalescer,
    ) -> None:
        super().__init__(transport.direct, form, metrics, bounds)
        self._transport = transport
        self._coalescer = coalescer
        self._is_coalescing = False
        self._flow_changes = 0
        self._waiting: list[bytes] = []
        self._waiting_count = 0
        self._is_closed = False
        self._drained: asyncio.Event | None = None
        transport.on_flow = self._flow_changed

    @property
    def is_behind(self) -> bool:
        """As `Outbox.is_behind`. Replies held for write coalescing do not count."""
        return not self._transport.is_writable or (self.pending_bytes > 0 and not self._is_coalescing)

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
        """As `Outbox.send`; the frame is written at the end of the loop iteration, or with a later `put`."""
        if self.direct is not None:
            self._is_coalescing = True
            self._coalescer.add(self)
        if self._is_coalescing and self.pending_bytes + frame.size_bytes < LOW_WATER_BYTES:
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
        """As `Outbox.mark`. Nothing is written to a full transport, so its buffer only shrinks. Every write
        to a transport that is not full changes `messages_out`."""
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
        # Later messages must not overtake this one.
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
        """Write the waiting messages if the client is reading."""
        self._is_coalescing = False
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
