"""Long work on the loop, in slices: between two of them other sockets are served."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from itertools import islice
from time import monotonic
from typing import Any, TypeVar

T = TypeVar("T")

# How long one slice may hold the loop, in seconds.
SLICE_S = 0.003
# Items that are handled between two looks at the clock.
CHUNK = 100
# Keys that are sorted in one step: some milliseconds.
SORT_CHUNK = 4000


async def in_slices(items: Iterable[T], chunk: int = CHUNK) -> AsyncIterator[list[T]]:
    """Yield the items in lists of at most `chunk`; let the loop run when SLICE_S has passed."""
    remaining = iter(items)
    began_s = monotonic()
    while some := list(islice(remaining, chunk)):
        yield some
        if monotonic() - began_s > SLICE_S:
            await asyncio.sleep(0)
            began_s = monotonic()


class Top:
    """The first `limit` of many sortable rows, gathered in steps that are short for the loop."""

    def __init__(self, limit: int, *, is_descending: bool) -> None:
        self._limit = limit
        self._is_descending = is_descending
        self._waiting: list[Any] = []
        # Sorted runs, each at least twice as long as the next: as in a merge sort.
        self._runs: list[list[Any]] = []

    async def add(self, rows: Sequence[Any]) -> None:
        """Take rows, in any order."""
        self._waiting += rows
        if len(self._waiting) >= SORT_CHUNK:
            await self._sort()

    async def rows(self) -> list[Any]:
        """Return the first `limit` rows, sorted."""
        await self._sort()
        while len(self._runs) > 1:
            self._merge()
            await asyncio.sleep(0)
        return self._runs[0] if self._runs else []

    async def _sort(self) -> None:
        run, self._waiting = self._waiting, []
        if not run:
            return
        run.sort(reverse=self._is_descending)
        self._runs.append(run[: self._limit])
        await asyncio.sleep(0)
        while len(self._runs) > 1 and len(self._runs[-2]) < 2 * len(self._runs[-1]):
            self._merge()
            await asyncio.sleep(0)

    def _merge(self) -> None:
        # Sorting two sorted runs takes one comparison a row.
        last = self._runs.pop()
        merged = self._runs.pop() + last
        merged.sort(reverse=self._is_descending)
        self._runs.append(merged[: self._limit])
