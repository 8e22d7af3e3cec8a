"""Counting offences in a sliding window: too many bad messages, too many refusals."""

from collections import deque


class Strikes:
    """More than `limit` strikes within `window_s` seconds is too many. Time is monotonic seconds."""

    __slots__ = ("_limit", "_times_s", "_window_s")

    def __init__(self, limit: int, window_s: float) -> None:
        self._limit = limit
        self._window_s = window_s
        # Made at the first strike: most connections never have one.
        self._times_s: deque[float] | None = None

    def add(self, now_s: float) -> bool:
        """Count one; True when that makes too many."""
        if self._times_s is None:
            self._times_s = deque(maxlen=self._limit + 1)
        self._times_s.append(now_s)
        return len(self._times_s) > self._limit and now_s - self._times_s[0] <= self._window_s
