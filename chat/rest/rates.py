"""Limits how fast one user may call the REST API of this process, as a connection's messages are limited."""

import threading
from collections.abc import Hashable

from cachetools import LRUCache
from django.utils.translation import gettext as _

from chat.errors import too_fast
from realtime import TokenBucket

# Users whose rate is remembered; the one that called least recently is forgotten first.
USERS_MAX = 10_000


class Rates:
    """The rates of users. `per_s` requests a second after `burst` at once (0: no limit). For any thread."""

    def __init__(self, per_s: float, burst: int) -> None:
        self._per_s = per_s
        self._burst = burst
        self._buckets: LRUCache[Hashable, TokenBucket] = LRUCache(USERS_MAX)
        self._lock = threading.Lock()

    def take(self, user: Hashable, now_s: float) -> None:
        """Count a request. Raises RequestError(rate_limited)."""
        with self._lock:
            bucket = self._buckets.get(user)
            if bucket is None:
                bucket = self._buckets[user] = TokenBucket(self._per_s, self._burst, now_s)
            wait_s = bucket.take(now_s)
        if wait_s:
            raise too_fast(_("Too many requests; slow down."), wait_s)
