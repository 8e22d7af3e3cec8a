"""Guessing passwords: at most 10 failures a minute for one name on one tenant, and for one address."""

import math
import time
import unicodedata
from hashlib import sha256

from django.core.cache import cache
from django.http import HttpRequest

from realtime.core.identity import Tenant

MAX_FAILURES = 10
WINDOW_S = 60


class SignInAttempt:
    """One attempt to sign in. Only failures count; they hold back right passwords, too."""

    def __init__(self, request: HttpRequest, username: str) -> None:
        tenant: Tenant = request.tenant  # type: ignore[attr-defined]  # TenantMiddleware's
        name = unicodedata.normalize("NFKC", username).casefold()
        address = request.META.get("REMOTE_ADDR", "")
        self._keys = [_key("name", tenant.slug, name), _key("address", address)]

    def wait_s(self) -> int:
        """Whole seconds until an attempt is allowed, at most WINDOW_S; 0 when it is now."""
        return max(_wait_s(key, time.time()) for key in self._keys)

    def failed(self) -> None:
        """Count this attempt as a failure."""
        for key in self._keys:
            # Outlives the failures it numbers: numbering anew would forget a recent one before the oldest.
            if not cache.touch(key, 2 * WINDOW_S):
                cache.add(key, 0, timeout=2 * WINDOW_S)
            number = cache.incr(key)
            cache.set(_slot(key, number), time.time(), timeout=WINDOW_S)


def _key(*parts: str) -> str:
    # Hashed: names and addresses stay out of the cache, and any text makes a valid key.
    return "sign-in:" + sha256("\0".join(parts).encode()).hexdigest()


def _slot(key: str, number: int) -> str:
    return f"{key}:{number % MAX_FAILURES}"


def _wait_s(key: str, now_s: float) -> int:
    last: dict[str, float] = cache.get_many([_slot(key, number) for number in range(MAX_FAILURES)])
    recent = [failed_s for failed_s in last.values() if now_s - failed_s < WINDOW_S]
    if len(recent) < MAX_FAILURES:
        return 0
    # A clock set back meanwhile makes no longer wait.
    return min(math.ceil(min(recent) + WINDOW_S - now_s), WINDOW_S)
