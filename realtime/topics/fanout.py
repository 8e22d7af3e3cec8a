"""Fan-out in turns: publications of a tick leave together, and a large topic lets others in between its slices."""

import asyncio
from collections import deque
from time import monotonic
from typing import Protocol

from realtime.sockets.outbox import Outbox, WriteCoalescer, put_to_all
from realtime.sockets.prepared import PreparedBatch, PreparedMessage
from realtime.sockets.subscription import Subscriber

# How long one turn may hold the loop (an echo waits for two of them), and how many subscribers are served between two
# looks at the clock.
SLICE_S = 0.0015
CHUNK = 32


class Delivery(Protocol):
    """What takes its turns: the deliveries of one topic. `is_queued` is kept by `Turns`."""

    is_queued: bool

    def advance(self, deadline_s: float) -> bool:
        """Deliver until all is done (True) or it is later than `deadline_s` (False)."""
        ...


class Fanout:
    """What is still to be delivered to the subscribers of one topic, each of them with the offset up to which it has
    been given everything already."""

    __slots__ = (
        "_at",
        "_batch",
        "_first",
        "_is_uniform",
        "_members",
        "_newest_known",
        "_outboxes",
        "_pending",
        "_targets",
        "is_queued",
        "subscribers",
    )

    def __init__(self) -> None:
        # Changed by `join` and `leave` only.
        self.subscribers: dict[Subscriber, int] = {}
        self.is_queued = False
        self._pending: list[tuple[int, PreparedMessage]] = []
        # The subscribers and their outboxes, kept from one delivery to the next; None: they have changed.
        self._members: tuple[list[Subscriber], list[Outbox]] | None = None
        # The furthest that anybody knows.
        self._newest_known = 0
        # The delivery that is under way: to whom, how far it is, what, and the offset it begins with.
        self._targets: list[Subscriber] = []
        self._outboxes: list[Outbox] = []
        self._at = 0
        self._batch: list[tuple[int, PreparedMessage]] = []
        self._first: PreparedMessage | PreparedBatch | None = None
        # Whether all of them are still here and are to get all of it.
        self._is_uniform = False

    def join(self, connection: Subscriber, offset: int) -> None:
        """Give it what comes after `offset`."""
        self.subscribers[connection] = offset
        self._newest_known = max(self._newest_known, offset)
        self._members = None
        self._is_uniform = False

    def leave(self, connection: Subscriber) -> None:
        """Give it no more."""
        del self.subscribers[connection]
        self._members = None
        self._is_uniform = False

    def add(self, offset: int, frame: PreparedMessage) -> None:
        """Deliver `frame` next."""
        self._pending.append((offset, frame))

    def advance(self, deadline_s: float) -> bool:
        """Deliver until all is done (True) or it is later than `deadline_s` (False)."""
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
        return True

    def _deliver_apart(self, chunk: list[Subscriber], whole: PreparedMessage | PreparedBatch) -> None:
        first_offset = self._batch[0][0]
        for connection in chunk:
            # As of now: it may have left since the delivery began, or left and come back knowing more.
            known = self.subscribers.get(connection)
            if known is None:
                continue
            if known < first_offset:
                put_to_all([connection.outbox], whole)
            else:
                for offset, frame in self._batch:
                    if offset > known:
                        put_to_all([connection.outbox], frame)


class Turns:
    """Gives each topic with something to deliver its turn, a slice at a time."""

    def __init__(self, loop: asyncio.AbstractEventLoop, coalescer: WriteCoalescer) -> None:
        self._loop = loop
        self._coalescer = coalescer
        self._queue: deque[Delivery] = deque()

    def add(self, fanout: Delivery) -> None:
        """Let it deliver from the next turn on."""
        if fanout.is_queued:
            return
        fanout.is_queued = True
        if not self._queue:
            self._loop.call_soon(self._turn)
        self._queue.append(fanout)

    def _turn(self) -> None:
        # The replies of this tick do not wait for a slice.
        self._coalescer.flush()
        deadline_s = monotonic() + SLICE_S
        while self._queue:
            fanout = self._queue[0]
            if fanout.advance(deadline_s):
                self._queue.popleft()
                fanout.is_queued = False
            else:
                # The next one first, when it goes on.
                self._queue.rotate(-1)
            if monotonic() > deadline_s:
                break
        if self._queue:
            # Not call_soon: everything that became ready in the meantime goes first.
            self._loop.call_later(0, self._turn)
