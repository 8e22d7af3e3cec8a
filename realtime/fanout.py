"""Fan-out in turns: publications of a tick leave together, and a large topic lets others in between its slices."""

import asyncio
import logging
from collections import deque
from time import monotonic

from realtime.connection import Connection
from realtime.frame import Batch, Frame

logger = logging.getLogger(__name__)

# How long one turn may hold the loop (an echo waits for two of them), and how many subscribers are served between two
# looks at the clock.
SLICE_S = 0.0015
CHUNK = 32


class Fanout:
    """What is still to be delivered to the subscribers of one topic. `subscribers` is the hub's own table: each
    connection with the offset up to which it has been given everything already."""

    __slots__ = ("_at", "_batch", "_first", "_pending", "_targets", "is_queued", "subscribers")

    def __init__(self) -> None:
        self.subscribers: dict[Connection, int] = {}
        self.is_queued = False
        self._pending: list[tuple[int, Frame]] = []
        # The delivery that is under way: to whom, how far it is, what, and the offset it begins with.
        self._targets: list[Connection] = []
        self._at = 0
        self._batch: list[tuple[int, Frame]] = []
        self._first: Frame | Batch | None = None

    def add(self, offset: int, frame: Frame) -> None:
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
        self._first = frames[0] if len(frames) == 1 else Batch(frames)
        self._targets = list(self.subscribers)
        self._at = 0

    def _deliver(self, deadline_s: float) -> bool:
        whole, first_offset = self._first, self._batch[0][0]
        assert whole is not None
        subscribers, targets = self.subscribers, self._targets
        while self._at < len(targets):
            for connection in targets[self._at : self._at + CHUNK]:
                # As of now: it may have left since the delivery began, or left and come back knowing more.
                known = subscribers.get(connection)
                if known is None:
                    continue
                try:
                    if known < first_offset:
                        connection.deliver(whole)
                    else:
                        self._deliver_rest(connection, known)
                except Exception:  # one socket's failure is not the others'
                    logger.exception("Delivery to connection %s failed", connection.id)
            self._at += CHUNK
            if monotonic() > deadline_s and self._at < len(targets):
                return False
        self._targets = []
        return True

    def _deliver_rest(self, connection: Connection, known: int) -> None:
        for offset, frame in self._batch:
            if offset > known:
                connection.deliver(frame)


class Turns:
    """Gives each topic with something to deliver its turn, a slice at a time."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._queue: deque[Fanout] = deque()

    def add(self, fanout: Fanout) -> None:
        """Let it deliver from the next turn on."""
        if fanout.is_queued:
            return
        fanout.is_queued = True
        if not self._queue:
            self._loop.call_soon(self._turn)
        self._queue.append(fanout)

    def _turn(self) -> None:
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
