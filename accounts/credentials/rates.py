"""Limits how fast one user may call an HTTP endpoint of this process, as a connection's messages are limited."""

import threading
from collections.abc import Hashable
from time import monotonic

from cachetools import LRUCache
from django.utils.translation import gettext as _

from realtime import ErrorCode, RequestError, TokenBucket, current_node, retry_after_ms

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
        _require_no_wait(wait_s)

    def look(self, user: Hashable, now_s: float) -> None:
        """Raise RequestError(rate_limited) if `take` would, and count nothing."""
        with self._lock:
            bucket = self._buckets.get(user)
            wait_s = 0.0 if bucket is None else bucket.wait_s(now_s)
        _require_no_wait(wait_s)


def _require_no_wait(wait_s: float) -> None:
    if wait_s:
        message = _("Too many requests; slow down.")
        raise RequestError(ErrorCode.RATE_LIMITED, message, retry_after_ms=retry_after_ms(wait_s))


class CredentialRates(Rates):
    """The rates at which users get tickets, and families of tokens are refreshed."""


def take_credential_rate(owner: Hashable) -> None:
    """Count a credential that is issued to `owner`, a user or a family of tokens: each writes to the database.

    As for failed handshakes of an address: ATTEMPTS_PER_S, ATTEMPTS_BURST. Raises RequestError(rate_limited).
    """
    _rates().take(owner, monotonic())


def look_at_credential_rate(owner: Hashable) -> None:
    """As `take_credential_rate`, but count nothing: before the database is asked whether the request is `owner`'s."""
    _rates().look(owner, monotonic())


def _rates() -> CredentialRates:
    node = current_node()
    settings = node.settings
    return node.shared(
        CredentialRates, lambda: CredentialRates(settings.ATTEMPTS_PER_S, settings.ATTEMPTS_BURST)
    )
