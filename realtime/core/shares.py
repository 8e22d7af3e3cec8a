"""Finds the largest of many amounts without looking at all of them."""

from collections.abc import Hashable
from heapq import heapify, heappop, heappush
from typing import Generic, TypeVar

Name = TypeVar("Name", bound=Hashable)

# Above this many outdated entries the heap is rebuilt; the cost is spread over as many changes.
MAX_OUTDATED = 1024


class Shares(Generic[Name]):
    """Amounts by name, and their total. `largest` is exact to one `step`. `set` and
    `largest` cost O(log n) on average.

    The heap lists each name at a level (amount // step) that its amount does not exceed. A name whose amount
    has shrunk is listed again when it reaches the top.
    """

    def __init__(self, step: int = 1) -> None:
        self.total = 0
        self._step = max(step, 1)
        self._amounts: dict[Name, int] = {}
        self._listed: dict[Name, int] = {}
        # Entries are (-level, tie-breaker, name), so the highest level is first.
        self._heap: list[tuple[int, int, Name]] = []
        self._counter = 0

    def __getitem__(self, name: Name) -> int:
        return self._amounts.get(name, 0)

    def __len__(self) -> int:
        return len(self._amounts)

    def set(self, name: Name, amount: int) -> None:
        """Set the amount of `name`, 0 or more."""
        self.total += amount - self._amounts.get(name, 0)
        if amount:
            self._amounts[name] = amount
            if amount // self._step > self._listed.get(name, -1):
                self._list(name)
        else:
            self._amounts.pop(name, None)

    def largest(self) -> Name | None:
        """The name with the largest amount; None if all are 0."""
        while self._heap:
            level, name = -self._heap[0][0], self._heap[0][2]
            amount = self._amounts.get(name, 0)
            if self._listed.get(name) == level and amount and amount // self._step == level:
                return name
            heappop(self._heap)
            if self._listed.get(name) == level:
                del self._listed[name]
                if amount:
                    self._list(name)
        return None

    def _list(self, name: Name) -> None:
        if len(self._heap) > 2 * len(self._amounts) + MAX_OUTDATED:
            self._list_all()
        level = self._amounts[name] // self._step
        self._listed[name] = level
        self._counter += 1
        heappush(self._heap, (-level, self._counter, name))

    def _list_all(self) -> None:
        self._listed = {name: amount // self._step for name, amount in self._amounts.items()}
        self._heap = [
            (-level, at, name) for at, (name, level) in enumerate(self._listed.items(), self._counter)
        ]
        self._counter += len(self._heap)
        heapify(self._heap)
