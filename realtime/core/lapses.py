"""Items that end at given times, so that one timer can serve them all. Times are monotonic seconds."""

from collections.abc import Hashable
from math import ceil
from typing import Generic, TypeVar

T = TypeVar("T", bound=Hashable)


class Lapses(Generic[T]):
    """Items by end time, rounded up to steps of `step_s` seconds. The cost of `add` and `discard` does not
    depend on the number of items.

    The next step is found by looking at all steps; their number is bounded by the longest time.
    """

    __slots__ = ("_size", "_step_s", "_steps")

    def __init__(self, step_s: float) -> None:
        self._step_s = step_s
        self._steps: dict[int, dict[T, None]] = {}
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def add(self, item: T, at_s: float) -> None:
        """Add `item`, which ends at `at_s`. It must not already be stored with this time."""
        self._steps.setdefault(self._step(at_s), {})[item] = None
        self._size += 1

    def discard(self, item: T, at_s: float) -> None:
        """Remove `item`, which was added with `at_s`."""
        step = self._step(at_s)
        items = self._steps[step]
        del items[item]
        self._size -= 1
        if not items:
            del self._steps[step]

    def next_s(self) -> float | None:
        """When the next items are due; None if there are none."""
        return min(self._steps) * self._step_s if self._steps else None

    def due(self, now_s: float, limit: int) -> list[T]:
        """At most `limit` of the items that are due, the earliest first; they stay stored
        until they are discarded."""
        found: list[T] = []
        for step in sorted(step for step in self._steps if step * self._step_s <= now_s):
            for item in self._steps[step]:
                if len(found) == limit:
                    return found
                found.append(item)
        return found

    def _step(self, at_s: float) -> int:
        return ceil(at_s / self._step_s)
