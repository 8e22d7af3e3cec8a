"""A limiter over a sliding window, for example for bad messages or refused requests."""

from collections import deque


class SlidingWindowLimiter:
    """Allows `limit` events within `window_s` seconds. Time is monotonic seconds."""

    __slots__ = ("_limit", "_times_s", "_window_s")

    def __init__(self, limit: int, window_s: float) -> None:
        self._limit = limit
        self._window_s = window_s
        self._times_s: deque[float] = deque(maxlen=limit + 1)

    def add(self, now_s: float) -> bool:
        """Count one event; True if that exceeds the limit."""
        self._times_s.append(now_s)
        return len(self._times_s) > self._limit and now_s - self._times_s[0] <= self._window_s
