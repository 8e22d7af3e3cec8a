"""Rates per second of counters that only rise."""

from collections.abc import Hashable, Mapping
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


class Rates(Generic[K]):
    """Remembers each counter's last value and says how fast it rose since. Time is monotonic seconds.

    A counter that fell (its process began anew) rose by all of its new value, as Prometheus counts it.
    """

    __slots__ = ("_at_s", "_counts")

    def __init__(self) -> None:
        self._at_s: float | None = None
        self._counts: dict[K, int] = {}

    def update(self, counts: Mapping[K, int], now_s: float) -> dict[K, float]:
        """The rate of each of `counts` since the call before.

        Zeros at the first call and when no time has passed. A counter that was not there
        at the call before has risen from zero.
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
