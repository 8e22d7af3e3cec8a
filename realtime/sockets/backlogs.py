"""Limits on the bytes that a process holds for its sockets: outboxes, each alone and all together, and
messages that are not complete. If they hold too much together, the largest backlogs are cut first."""

from collections.abc import Callable
from typing import NamedTuple, Protocol

# Above the budget, clients are cut until this share of it is used, so that not every
# message makes a new scan.
FULL_SHARE = 0.9


class Holder(Protocol):
    """An outbox, or a socket that receives, as `Backlogs` sees it."""

    def cut(self) -> None:
        """End its connection at once, and free everything it holds."""
        ...


class Backlogs:
    """Holds at most `limit_bytes` (0: no bound) for the clients of this process."""

    def __init__(self, limit_bytes: int = 0) -> None:
        self._limit_bytes = limit_bytes
        self._held: dict[Holder, int] = {}
        self.total_bytes = 0

    def note(self, holder: Holder, held_bytes: int) -> None:
        """Record the bytes that wait in this outbox and its transport, or of a message that is not complete; 0
        when nothing waits any more or the client has gone."""
        self.total_bytes += held_bytes - self._held.pop(holder, 0)
        if held_bytes:
            self._held[holder] = held_bytes
            if 0 < self._limit_bytes < self.total_bytes:
                self._cut_worst()

    def _cut_worst(self) -> None:
        worst = sorted(self._held, key=self._held.__getitem__, reverse=True)
        for holder in worst:
            if self.total_bytes <= self._limit_bytes * FULL_SHARE:
                return
            self.note(holder, 0)
            holder.cut()


def nobody() -> None:
    """Replaces the callbacks after the end, so that a connection and its outbox do not keep
    each other alive."""


class Bounds(NamedTuple):
    """The limit of an outbox, and the functions to call if it holds too much: alone, or together with all
    others. A `limit_bytes` of 0 is no bound."""

    limit_bytes: int
    overflowed: Callable[[], None]
    cut: Callable[[], None]
    backlogs: Backlogs
