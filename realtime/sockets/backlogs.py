"""What the outboxes of a process hold for clients that are behind: one budget, and the worst are cut first."""

from typing import Protocol

# Beyond the budget, clients are cut until so much of it is used: not one look at all of them for each message.
FULL_SHARE = 0.9


class Holder(Protocol):
    """An outbox, as its process sees it."""

    def cut(self) -> None:
        """End its connection at once with 4410, and let go of all it holds."""
        ...


class Backlogs:
    """At most `limit_bytes` (0: no bound) wait for clients of this process that do not read."""

    def __init__(self, limit_bytes: int = 0) -> None:
        self._limit_bytes = limit_bytes
        self._held: dict[Holder, int] = {}
        self.total_bytes = 0

    def note(self, holder: Holder, held_bytes: int) -> None:
        """So much waits in this outbox and its transport now; 0 when its client reads, or has gone."""
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
