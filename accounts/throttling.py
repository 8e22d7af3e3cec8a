"""Guessing passwords: at most 10 failures a minute for one name and for one address, on each tenant.

An attempt is counted before the password is hashed and given back when it was right, so that attempts side by side
are no way around. The counts are in Django's cache, for all processes; while it is away each process counts by itself.
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

from accounts.hashing import let_go_of_database
from realtime import Refusal, Tenant, address_key

MAX_FAILURES = 10
WINDOW_S = 60
# Right passwords come in crowds, too: one waits while others of its name or address are being judged.
PENDING_POLL_S = 0.1
PENDING_WAITERS_MAX = 32
# A cache that failed is asked again after this many seconds.
CACHE_RETRY_S = 5.0
# Names and addresses that one process counts while the cache is away.
LOCAL_KEYS_MAX = 100_000

PENDING, FAILED = "pending", "failed"

R = TypeVar("R")
logger = logging.getLogger(__name__)


class Slot(NamedTuple):
    """One of the ten places of a name or an address, taken in one of the caches for WINDOW_S."""

    cache: BaseCache
    key: str


class Attempt:
    """One password to be judged. It counts as a failure from `failed` on; else it is given back at the end."""

    def __init__(self, request: HttpRequest, username: str) -> None:
        tenant: Tenant = request.tenant  # type: ignore[attr-defined]  # TenantMiddleware's
        name = unicodedata.normalize("NFKC", username).casefold()
        address = address_key(request.META.get("REMOTE_ADDR", ""))
        self._keys = [_key("name", tenant.slug, name), _key("address", tenant.slug, address)]
        self._slots: list[Slot] = []
        self._has_failed = False

    def reserve(self) -> int:
        """Take a place for the name and the address. 0 when both were free, else whole seconds to wait."""
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
        """Give back what was taken, unless the password was wrong."""
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
    """Judge a password inside, and say so when it `failed`. Raises Refusal(429) after too many failures."""
    attempt = Attempt(request, username)
    if wait_s := attempt.reserve():
        message = f"Too many failed attempts. Try again in {wait_s} seconds."
        raise Refusal(429, "rate_limited", message, retry_after_s=wait_s)
    try:
        yield attempt
    finally:
        attempt.end()


def _key(*parts: str) -> str:
    # Hashed: names and addresses stay out of the cache, and any text makes a valid key.
    return "sign-in:" + sha256("\0".join(parts).encode(errors="replace")).hexdigest()


def _take_slot(key: str) -> tuple[Slot | None, int, bool]:
    """A free place of `key`; else None, the seconds to wait, and whether one may be given back before that."""
    keys = [f"{key}:{number}" for number in range(MAX_FAILURES)]
    now_s = time.time()

    def take(cache: BaseCache) -> tuple[Slot | None, dict[str, Any]]:
        taken = cache.get_many(keys)
        for free in keys:
            # `add` is atomic: of many at once, in any process, one gets it.
            if free not in taken and cache.add(free, (PENDING, now_s), WINDOW_S):
                return Slot(cache, free), {}
        return None, taken

    slot, taken = _asked(take)
    if slot is not None:
        return slot, 0, False
    failed = [at_s for state, at_s in taken.values() if state == FAILED]
    if len(failed) < MAX_FAILURES:
        return None, 1, True
    # A clock set back meanwhile makes no longer wait.
    return None, max(1, min(math.ceil(min(failed) + WINDOW_S - now_s), WINDOW_S)), False


def _fail(slot: Slot) -> None:
    _guarded(slot.cache, lambda cache: cache.set(slot.key, (FAILED, time.time()), WINDOW_S))


def _free(slot: Slot) -> None:
    _guarded(slot.cache, lambda cache: cache.delete(slot.key))


class _Waiters:
    """How many requests of this process wait for others to be judged."""

    places = threading.BoundedSemaphore(PENDING_WAITERS_MAX)


class _Shared:
    """Whether the cache answers. While it does not, this process counts by itself: a guard must not lock people out."""

    local = LocMemCache("sign-in", {"OPTIONS": {"MAX_ENTRIES": LOCAL_KEYS_MAX}})
    retry_at_s = 0.0
    is_away = False


def _asked(work: Callable[[BaseCache], R]) -> R:
    """`work` on the shared cache, or on this process' own while that one is away."""
    if time.monotonic() >= _Shared.retry_at_s:
        try:
            result = work(shared_cache)
        except Exception as error:  # Any backend's own; what is wrong with it is said once.
            _went_away(error)
        else:
            if _Shared.is_away:
                _Shared.is_away = False
                logger.info("The cache is back: failed sign-ins are counted for all processes again")
            return result
    return work(_Shared.local)


def _guarded(cache: BaseCache, work: Callable[[BaseCache], object]) -> None:
    """`work` on the cache where the place was taken; where it is gone by now, so is the place, after WINDOW_S."""
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
            "The cache is away (%s): each process counts failed sign-ins by itself", type(error).__name__
        )
