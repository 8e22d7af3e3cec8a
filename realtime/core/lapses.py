"""What ends at a time of its own: one timer for all of it. Times are monotonic seconds."""

from collections.abc import Hashable
from math import ceil
from typing import Generic, TypeVar

T = TypeVar("T", bound=Hashable)


class Lapses(Generic[T]):
    """Items by the time they end, rounded up to steps of `step_s`; adding and discarding cost the same for any number.

    There are as many steps as the longest time holds, so the next one is found by looking at all of them.
    """

    __slots__ = ("_size", "_step_s", "_steps")

    def __init__(self, step_s: float) -> None:
        self._step_s = step_s
        self._steps: dict[int, dict[T, None]] = {}
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def add(self, item: T, at_s: float) -> None:
        """`item`, which is not in here with this time, ends at `at_s`."""
        self._steps.setdefault(self._step(at_s), {})[item] = None
        self._size += 1

    def discard(self, item: T, at_s: float) -> None:
        """`item`, which was added with `at_s`, does not end after all."""
        step = self._step(at_s)
        items = self._steps[step]
        del items[item]
        self._size -= 1
        if not items:
            del self._steps[step]

    def next_s(self) -> float | None:
        """When the next items are due; None where there are none."""
        return min(self._steps) * self._step_s if self._steps else None

    def due(self, now_s: float, limit: int) -> list[T]:
        """At most `limit` of the items that are due, the earliest first; they stay until they are discarded."""
        found: list[T] = []
        for step in sorted(step for step in self._steps if step * self._step_s <= now_s):
            for item in self._steps[step]:
                if len(found) == limit:
                    return found
                found.append(item)
        return found

    def _step(self, at_s: float) -> int:
        return ceil(at_s / self._step_s)
