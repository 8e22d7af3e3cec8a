"""Counting offences in a sliding window: too many bad messages, too many refusals."""

from collections import deque


class SlidingWindowLimiter:
    """More than `limit` strikes within `window_s` seconds is too many. Time is monotonic seconds."""

    __slots__ = ("_limit", "_times_s", "_window_s")

    def __init__(self, limit: int, window_s: float) -> None:
        self._limit = limit
        self._window_s = window_s
        self._times_s: deque[float] = deque(maxlen=limit + 1)

    def add(self, now_s: float) -> bool:
        """Count one; True when that makes too many."""
        self._times_s.append(now_s)
        return len(self._times_s) > self._limit and now_s - self._times_s[0] <= self._window_s
