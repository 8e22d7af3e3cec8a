"""The token bucket behind every rate limit."""

import math


class TokenBucket:
    """Gains `rate_per_s` tokens each second, up to `burst`; a rate or a burst of 0 switches the limit off.

    Time is in monotonic seconds.
    """

    __slots__ = ("_burst", "_rate_per_s", "_tokens", "_updated_s")

    def __init__(self, rate_per_s: float, burst: float, now_s: float) -> None:
        self._rate_per_s = rate_per_s if burst > 0 else 0.0
        self._burst = max(burst, 1.0)
        self._tokens = self._burst
        self._updated_s = now_s

    def take(self, now_s: float, count: float = 1.0, *, paid: float = 0.0) -> float:
        """Take `count` tokens. Returns 0.0, or the seconds until there are enough; nothing
        is taken in that case.

        A `count` above the burst is granted when the bucket is full. The missing tokens are owed, and must be
        gained before the next grant. `paid` tokens have just been taken for the same thing.
        """
        # Without `min`, because this runs twice for every message.
        rate_per_s, tokens = self._rate_per_s, self._tokens
        if rate_per_s <= 0:
            return 0.0
        if now_s > self._updated_s:
            tokens += (now_s - self._updated_s) * rate_per_s
            if tokens > self._burst:  # noqa: PLR1730 `min` would cost as much as all the rest
                tokens = self._burst
            self._updated_s = now_s
        if tokens < count:
            needed = min(count + paid, self._burst) - paid
            if tokens < needed:
                self._tokens = tokens
                return (needed - tokens) / rate_per_s
        self._tokens = tokens - count
        return 0.0

    def wait_s(self, now_s: float) -> float:
        """The seconds until there is a token; 0.0 if there is one. Nothing is taken."""
        if self._rate_per_s <= 0:
            return 0.0
        missing = 1.0 - self._tokens - max(now_s - self._updated_s, 0.0) * self._rate_per_s
        return max(missing / self._rate_per_s, 0.0)

    def is_full(self, now_s: float) -> bool:
        """Whether the bucket is full, so that it can be dropped without losing any state."""
        missing = self._burst - self._tokens
        return self._rate_per_s <= 0 or (now_s - self._updated_s) * self._rate_per_s >= missing


def retry_after_ms(wait_s: float) -> int:
    """A wait in seconds as the `retry_after_ms` of an error: whole milliseconds, at least 1."""
    return max(math.ceil(wait_s * 1000), 1)
