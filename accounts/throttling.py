"""Guessing passwords: at most 10 failures a minute for one name on one tenant, and for one address."""

import time
import unicodedata
from hashlib import sha256

from django.core.cache import cache
from django.http import HttpRequest

from realtime.core.identity import Tenant

MAX_FAILURES = 10
WINDOW_S = 60
# Failures are counted by slices of the window, each by an atomic increment.
SLICE_S = 5
_SLICES = WINDOW_S // SLICE_S + 1


class SignInAttempt:
    """One attempt to sign in. Only failures count; they hold back right passwords, too."""

    def __init__(self, request: HttpRequest, username: str) -> None:
        tenant: Tenant = request.tenant  # type: ignore[attr-defined]  # TenantMiddleware's
        name = unicodedata.normalize("NFKC", username).casefold()
        address = request.META.get("REMOTE_ADDR", "")
        self._keys = [_key("name", tenant.slug, name), _key("address", address)]

    def wait_s(self) -> int:
        """Whole seconds until an attempt is allowed; 0 when it is now."""
        return max(_wait_s(key, time.time()) for key in self._keys)

    def failed(self) -> None:
        """Count this attempt as a failure."""
        current = int(time.time() // SLICE_S)
        for key in self._keys:
            slice_key = f"{key}:{current}"
            cache.add(slice_key, 0, timeout=WINDOW_S + SLICE_S)
            cache.incr(slice_key)


def _key(*parts: str) -> str:
    # Hashed: names and addresses stay out of the cache, and any text makes a valid key.
    return "sign-in:" + sha256("\0".join(parts).encode()).hexdigest()


def _wait_s(key: str, now: float) -> int:
    current = int(now // SLICE_S)
    slices = range(current - _SLICES + 1, current + 1)
    counts: dict[str, int] = cache.get_many([f"{key}:{number}" for number in slices])
    failures = sum(counts.values())
    for number in slices:
        if failures < MAX_FAILURES:
            break
        failures -= counts.get(f"{key}:{number}", 0)
        if failures < MAX_FAILURES:
            return max(int((number + _SLICES) * SLICE_S - now) + 1, 1)
    return 0
