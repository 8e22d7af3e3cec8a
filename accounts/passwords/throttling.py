"""Limits on guessing passwords: 10 failures a minute for one name and for one address, on each tenant.

An attempt is counted before the password is hashed, and released if the password was right. So concurrent
attempts cannot exceed the limit. With a broker they are counted there, for all processes, and by each process
itself while the broker is away (realtime.AttemptLimit).
"""

import math
import threading
import time
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256

from django.conf import settings
from django.http import HttpRequest
from django.utils.translation import gettext as _

from accounts.passwords.hashing import let_go_of_database
from realtime import AttemptLimit, AttemptRule, AttemptSlot, Refusal, Tenant, address_key, current_node

MAX_FAILURES = 10
WINDOW_S = 60
# Many users may sign in from one address at once. Seconds between checks while attempts of the same name or
# address are pending.
PENDING_POLL_S = 0.1
PENDING_WAITERS_MAX = 32


class SignIns(AttemptLimit):
    """The failed sign-ins that this process knows of."""

    def __init__(self) -> None:
        super().__init__("failed sign-ins", AttemptRule(MAX_FAILURES, WINDOW_S))


class Attempt:
    """One password to be checked. After `failed` it counts as a failure; otherwise `end` releases it."""

    def __init__(self, request: HttpRequest, username: str) -> None:
        tenant: Tenant = request.tenant  # type: ignore[attr-defined]  # TenantMiddleware's
        name = unicodedata.normalize("NFKC", username).casefold()
        address = address_key(request.META.get("REMOTE_ADDR", ""))
        self._keys = [_key("name", tenant.slug, name), _key("address", tenant.slug, address)]
        self._slots: list[AttemptSlot] = []
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
            _limit().fail(slot)

    def end(self) -> None:
        """Release the slots, unless the password was wrong."""
        if not self._has_failed:
            for slot in self._slots:
                _limit().free(slot)
        self._slots = []

    def _take(self) -> tuple[int, bool]:
        """Return 0, or the seconds to wait, and whether a slot may be free earlier."""
        for key in self._keys:
            taken = _limit().take(key)
            if isinstance(taken, AttemptSlot):
                self._slots.append(taken)
                continue
            self.end()
            if taken.failed < MAX_FAILURES:
                return 1, True
            # At most the window, even if a clock was set back.
            return max(1, min(math.ceil(taken.wait_s), WINDOW_S)), False
        return 0, False


@contextmanager
def counted(request: HttpRequest, username: str) -> Iterator[Attempt]:
    """Count a password check in the `with` block, which calls `failed`.

    Raises Refusal(429) after too many failures.
    """
    attempt = Attempt(request, username)
    if wait_s := attempt.reserve():
        message = _("Too many failed attempts. Try again in {wait_s} seconds.").format(wait_s=wait_s)
        raise Refusal(429, "rate_limited", message, retry_after_s=wait_s)
    try:
        yield attempt
    finally:
        attempt.end()


def _key(*parts: str) -> str:
    # Hashed, so that the broker holds no names or addresses and any text makes a short key.
    return "sign-in:" + sha256("\0".join(parts).encode(errors="replace")).hexdigest()


def _limit() -> SignIns:
    return current_node().shared(SignIns, SignIns)


class _Waiters:
    """The number of requests of this process that wait for pending attempts."""

    places = threading.BoundedSemaphore(PENDING_WAITERS_MAX)
