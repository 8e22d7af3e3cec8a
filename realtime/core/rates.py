"""Rates per second of counters that only rise."""

from collections.abc import Hashable, Mapping
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


class Rates(Generic[K]):
    """Keeps each counter's last value and computes its rate since then. Time is monotonic seconds.

    A counter that fell, because its process restarted, counts from zero, as in Prometheus.
    """

    __slots__ = ("_at_s", "_counts")

    def __init__(self) -> None:
        self._at_s: float | None = None
        self._counts: dict[K, int] = {}

    def update(self, counts: Mapping[K, int], now_s: float) -> dict[K, float]:
        """The rate of each of `counts` since the previous call.

        Rates are zero at the first call and if no time has passed. A counter that was
        missing in the previous call counts from zero.
        """
        elapsed_s = 0.0 if self._at_s is None else now_s - self._at_s
        if elapsed_s <= 0:
            rates = dict.fromkeys(counts, 0.0)
        else:
            rates = {
                key: _risen(self._counts.get(key, 0), count) / elapsed_s for key, count in counts.items()
            }
        if self._at_s is None or elapsed_s > 0:
            self._at_s = now_s
            self._counts = dict(counts)
        return rates


def _risen(before: int, now: int) -> int:
    return now - before if now >= before else now
