"""Fan-out in slices: publications of one loop iteration leave together, and
large topics do not block others."""

import asyncio
import logging
from collections import deque
from collections.abc import Iterable
from time import monotonic
from typing import Protocol

from realtime.core.figures import Histogram
from realtime.sockets.outbox import (
    AS_ENCODED,
    Outbox,
    PreparedBatch,
    PreparedMessage,
    WriteCoalescer,
    count_on,
)
from realtime.sockets.subscription import Subscriber

logger = logging.getLogger(__name__)

# How long one turn may hold the event loop, in seconds (an echo waits for up to two turns), and how many
# subscribers are served between two looks at the clock.
SLICE_S = 0.0015
CHUNK = 32


class Delivery(Protocol):
    """The pending deliveries of one topic. `is_queued` is set by `Turns` only."""

    is_queued: bool

    def advance(self, deadline_s: float) -> bool:
        """Deliver until nothing is left (True) or `deadline_s` (monotonic seconds) has passed (False)."""
        ...


class Fanout:
    """The publications still to be delivered to the subscribers of one topic.

    `subscribers` maps each one to the offset up to which it has already been given everything.
    """

    __slots__ = (
        "_added_s",
        "_at",
        "_batch",
        "_began_s",
        "_first",
        "_is_uniform",
        "_members",
        "_newest_known",
        "_outboxes",
        "_pending",
        "_targets",
        "is_queued",
        "subscribers",
        "times",
    )

    def __init__(self) -> None:
        # Counts how long publications took, from `add` to the last subscriber.
        self.times: Histogram | None = None
        self._added_s = self._began_s = 0.0
        # Only `join` and `leave` change it.
        self.subscribers: dict[Subscriber, int] = {}
        self.is_queued = False
        self._pending: list[tuple[int, PreparedMessage]] = []
        # The subscribers and their outboxes, kept from one delivery to the next; None after a change.
        self._members: tuple[list[Subscriber], list[Outbox]] | None = None
        # The highest offset that any subscriber already has.
        self._newest_known = 0
        # The delivery in progress: its subscribers, how many are served, what it sends, and its first offset.
        self._targets: list[Subscriber] = []
        self._outboxes: list[Outbox] = []
        self._at = 0
        self._batch: list[tuple[int, PreparedMessage]] = []
        self._first: PreparedMessage | PreparedBatch | None = None
        # Whether every subscriber is still here and needs the whole batch.
        self._is_uniform = False

    def join(self, connection: Subscriber, offset: int) -> None:
        """Deliver to `connection` what comes after `offset`."""
        self.subscribers[connection] = offset
        self._newest_known = max(self._newest_known, offset)
        self._members = None
        self._is_uniform = False

    def leave(self, connection: Subscriber) -> None:
        """Deliver nothing more to `connection`."""
        del self.subscribers[connection]
        self._members = None
        self._is_uniform = False

    def add(self, offset: int, frame: PreparedMessage) -> None:
        """Deliver `frame` next."""
        if not self._pending:
            self._added_s = monotonic()
        self._pending.append((offset, frame))

    def advance(self, deadline_s: float) -> bool:
        """Deliver until nothing is left (True) or `deadline_s` (monotonic seconds) has passed (False)."""
        while self._first is not None or self._pending:
            if self._first is None:
                self._begin()
            if not self._deliver(deadline_s):
                return False
            self._first = None
        return True

    def _begin(self) -> None:
        self._batch, self._pending = self._pending, []
        frames = [frame for _, frame in self._batch]
        self._first = frames[0] if len(frames) == 1 else PreparedBatch(frames)
        if self._members is None:
            targets = list(self.subscribers)
            self._members = targets, [connection.outbox for connection in targets]
        self._targets, self._outboxes = self._members
        self._is_uniform = self._newest_known < self._batch[0][0]
        self._at = 0
        self._began_s = self._added_s

    def _deliver(self, deadline_s: float) -> bool:
        whole, size = self._first, len(self._targets)
        assert whole is not None
        while self._at < size:
            chunk = slice(self._at, self._at + CHUNK)
            self._at += CHUNK
            if self._is_uniform:
                put_to_all(self._outboxes[chunk], whole)
            else:
                self._deliver_apart(self._targets[chunk], whole)
            if monotonic() > deadline_s and self._at < size:
                return False
        self._targets, self._outboxes = [], []
        if self.times is not None:
            # Of the first one of those that leave together.
            self.times.observe(monotonic() - self._began_s)
        return True

    def _deliver_apart(self, chunk: list[Subscriber], whole: PreparedMessage | PreparedBatch) -> None:
        first_offset = self._batch[0][0]
        for connection in chunk:
            # Looked up now: it may have left meanwhile, or left and returned with a later offset.
            known = self.subscribers.get(connection)
            if known is None:
                continue
            if known < first_offset:
                put_to_all([connection.outbox], whole)
            else:
                for offset, frame in self._batch:
                    if offset > known:
                        put_to_all([connection.outbox], frame)


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


class Turns:
    """Gives each topic that has something to deliver one time slice after another, in rotation."""

    def __init__(self, loop: asyncio.AbstractEventLoop, coalescer: WriteCoalescer) -> None:
        self._loop = loop
        self._coalescer = coalescer
        self._queue: deque[Delivery] = deque()

    def add(self, fanout: Delivery) -> None:
        """Queue it for the next turn, unless it is queued already."""
        if fanout.is_queued:
            return
        fanout.is_queued = True
        if not self._queue:
            self._loop.call_soon(self._turn)
        self._queue.append(fanout)

    def _turn(self) -> None:
        # Replies of this loop iteration are written before a slice of fan-out begins.
        self._coalescer.flush()
        deadline_s = monotonic() + SLICE_S
        while self._queue:
            fanout = self._queue[0]
            if fanout.advance(deadline_s):
                self._queue.popleft()
                fanout.is_queued = False
            else:
                # The next turn begins with the next topic.
                self._queue.rotate(-1)
            if monotonic() > deadline_s:
                break
        if self._queue:
            # Not call_soon: work that has become ready in the meantime runs first.
            self._loop.call_later(0, self._turn)
