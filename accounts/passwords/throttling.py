"""Limits on guessing passwords: 10 failures a minute for one name and for one address, on each tenant.

An attempt is counted before the password is hashed, and released if the password was right. So concurrent
attempts cannot exceed the limit. The counts are in Django's cache, for all processes. While the cache is
away, each process counts by itself.
"""

import logging
import math
import threading
import time
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from typing import Any, NamedTuple, TypeVar

from django.conf import settings
from django.core.cache import cache as shared_cache
from django.core.cache.backends.base import BaseCache
from django.core.cache.backends.locmem import LocMemCache
from django.http import HttpRequest

from accounts.passwords.hashing import let_go_of_database
from realtime import Refusal, Tenant, address_key

MAX_FAILURES = 10
WINDOW_S = 60
# Many users may sign in from one address at once. Seconds between checks while attempts of the same name or
# address are pending.
PENDING_POLL_S = 0.1
PENDING_WAITERS_MAX = 32
# Seconds after which a cache that failed is used again.
CACHE_RETRY_S = 5.0
# Names and addresses that a process counts at most while the cache is away.
LOCAL_KEYS_MAX = 100_000

PENDING, FAILED = "pending", "failed"

R = TypeVar("R")
logger = logging.getLogger(__name__)


class Slot(NamedTuple):
    """One of the ten attempts of a name or an address, stored in one of the caches for WINDOW_S seconds."""

    cache: BaseCache
    key: str


class Attempt:
    """One password to be checked. After `failed` it counts as a failure; otherwise `end` releases it."""

    def __init__(self, request: HttpRequest, username: str) -> None:
        tenant: Tenant = request.tenant  # type: ignore[attr-defined]  # TenantMiddleware's
        name = unicodedata.normalize("NFKC", username).casefold()
        address = address_key(request.META.get("REMOTE_ADDR", ""))
        self._keys = [_key("name", tenant.slug, name), _key("address", tenant.slug, address)]
        self._slots: list[Slot] = []
        self._has_failed = False

    def reserve(self) -> int:
        """Take a slot for the name and the address.

        Return 0 if both were free, otherwise whole seconds to wait.
        """
        wait_s, is_pending = self._take()
        if not is_pending:
            return wait_s
        if not _Waiters.places.acquire(blocking=False):
            return 1
        try:
            let_go_of_database()
            until_s = time.monotonic() + (settings.PASSWORD_WAIT_S or WINDOW_S)
            while is_pending and time.monotonic() < until_s:
                time.sleep(PENDING_POLL_S)
                wait_s, is_pending = self._take()
        finally:
            _Waiters.places.release()
        return wait_s

    def failed(self) -> None:
        """The password was wrong."""
        self._has_failed = True
        for slot in self._slots:
            _fail(slot)

    def end(self) -> None:
        """Release the slots, unless the password was wrong."""
        if not self._has_failed:
            for slot in self._slots:
                _free(slot)
        self._slots = []

    def _take(self) -> tuple[int, bool]:
        for key in self._keys:
            slot, wait_s, is_pending = _take_slot(key)
            if slot is None:
                self.end()
                return wait_s, is_pending
            self._slots.append(slot)
        return 0, False


@contextmanager
def counted(request: HttpRequest, username: str) -> Iterator[Attempt]:
    """Count a password check in the `with` block, which calls `failed`.

    Raises Refusal(429) after too many failures.
    """
    attempt = Attempt(request, username)
    if wait_s := attempt.reserve():
        message = f"Too many failed attempts. Try again in {wait_s} seconds."
        raise Refusal(429, "rate_limited", message, retry_after_s=wait_s)
    try:
        yield attempt
    finally:
        attempt.end()


def _key(*parts: str) -> str:
    # Hashed, so that the cache holds no names or addresses and any text makes a valid key.
    return "sign-in:" + sha256("\0".join(parts).encode(errors="replace")).hexdigest()


def _take_slot(key: str) -> tuple[Slot | None, int, bool]:
    """Return a free slot of `key`, or None, the seconds to wait, and whether one may be free earlier."""
    keys = [f"{key}:{number}" for number in range(MAX_FAILURES)]
    now_s = time.time()

    def take(cache: BaseCache) -> tuple[Slot | None, dict[str, Any]]:
        taken = cache.get_many(keys)
        for free in keys:
            # `add` is atomic: of concurrent attempts, in any process, one gets the slot.
            if free not in taken and cache.add(free, (PENDING, now_s), WINDOW_S):
                return Slot(cache, free), {}
        return None, taken

    slot, taken = _asked(take)
    if slot is not None:
        return slot, 0, False
    failed = [at_s for state, at_s in taken.values() if state == FAILED]
    if len(failed) < MAX_FAILURES:
        return None, 1, True
    # The wait is at most WINDOW_S, even if the clock was set back.
    return None, max(1, min(math.ceil(min(failed) + WINDOW_S - now_s), WINDOW_S)), False


def _fail(slot: Slot) -> None:
    _guarded(slot.cache, lambda cache: cache.set(slot.key, (FAILED, time.time()), WINDOW_S))


def _free(slot: Slot) -> None:
    _guarded(slot.cache, lambda cache: cache.delete(slot.key))


class _Waiters:
    """The number of requests of this process that wait for pending attempts."""

    places = threading.BoundedSemaphore(PENDING_WAITERS_MAX)


class _Shared:
    """Whether the cache answers.

    While it does not, this process counts by itself, so that users can still sign in.
    """

    local = LocMemCache("sign-in", {"OPTIONS": {"MAX_ENTRIES": LOCAL_KEYS_MAX}})
    retry_at_s = 0.0
    is_away = False


def _asked(work: Callable[[BaseCache], R]) -> R:
    """Run `work` on the shared cache, or on this process' own cache while the shared one is away."""
    if time.monotonic() >= _Shared.retry_at_s:
        try:
            result = work(shared_cache)
        except Exception as error:  # Each backend has its own errors. It is logged once.
            _went_away(error)
        else:
            if _Shared.is_away:
                _Shared.is_away = False
                logger.info("The cache is back: failed sign-ins are counted for all processes again")
            return result
    return work(_Shared.local)


def _guarded(cache: BaseCache, work: Callable[[BaseCache], object]) -> None:
    """Run `work` on the cache of the slot. If that cache is away, the slot expires after WINDOW_S."""
    try:
        work(cache)
    except Exception as error:
        _went_away(error)
        work(_Shared.local)


def _went_away(error: Exception) -> None:
    _Shared.retry_at_s = time.monotonic() + CACHE_RETRY_S
    if not _Shared.is_away:
        _Shared.is_away = True
        logger.warning(
            "The cache cannot be reached (%s): each process counts failed sign-ins by itself",
            type(error).__name__,
        )
