"""Limits how fast one user may call the REST API of this process, as a connection's messages are limited."""

import threading
from collections import OrderedDict
from collections.abc import Hashable

from realtime import ErrorCode, RequestError, TokenBucket, retry_after_ms

# Users whose rate is remembered; the one that called least recently is forgotten first.
USERS_MAX = 10_000


class Rates:
    """The rates of users. `per_s` requests a second after `burst` at once (0: no limit). For any thread."""

    def __init__(self, per_s: float, burst: int) -> None:
        self._per_s = per_s
        self._burst = burst
        self._buckets: OrderedDict[Hashable, TokenBucket] = OrderedDict()
        self._lock = threading.Lock()

    def take(self, user: Hashable, now_s: float) -> None:
        """Count a request. Raises RequestError(rate_limited)."""
        with self._lock:
            bucket = self._buckets.pop(user, None) or TokenBucket(self._per_s, self._burst, now_s)
            self._buckets[user] = bucket
            wait_s = bucket.take(now_s)
            if len(self._buckets) > USERS_MAX:
                self._buckets.popitem(last=False)
        if wait_s:
            raise RequestError(
                ErrorCode.RATE_LIMITED, "Too many requests; slow down.", retry_after_ms=retry_after_ms(wait_s)
            )
