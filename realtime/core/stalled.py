"""Detects what has made no progress for too long."""

from collections.abc import Hashable, Mapping
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


class Stalls(Generic[K]):
    """Watches marks that change with every step of progress. Times are monotonic seconds."""

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._since: dict[K, tuple[Hashable, float]] = {}

    def look(self, marks: Mapping[K, Hashable], now_s: float) -> list[K]:
        """The keys whose mark has not changed for `limit_s` seconds. A key without a mark
        now is not waiting."""
        since: dict[K, tuple[Hashable, float]] = {}
        for key, mark in marks.items():
            before = self._since.get(key)
            since[key] = before if before is not None and before[0] == mark else (mark, now_s)
        self._since = since
        return [key for key, (_, since_s) in since.items() if now_s - since_s >= self._limit_s]
