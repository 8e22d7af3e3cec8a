"""Password hashing in its own thread pool, because hashes are slow by design and must not starve other work.

The pool has PASSWORD_THREADS threads with a lower priority than everything else, and a bounded queue. A
caller that waits holds no database connection.
"""

import math
import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from django.conf import settings
from django.contrib.auth import hashers
from django.db import connections
from django.utils.translation import gettext as _

from realtime import Refusal, unavailable

P = ParamSpec("P")
R = TypeVar("R")

RETRY_AFTER_S = 5
# Nice value of the threads on Linux, so that the event loop runs first.
NICENESS = 10


class HashingPool:
    """At most `threads` hash at once and `waiting` more wait, each up to `wait_s` seconds. 0: no limit."""

    def __init__(self, threads: int, waiting: int, wait_s: float) -> None:
        self._executor = ThreadPoolExecutor(threads, "password", _step_back) if threads else None
        self._threads = threads
        self._places = threads + waiting if waiting else math.inf
        self._taken = 0
        self._lock = threading.Lock()
        self._wait_s = wait_s or None

    def run(self, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run `work` in the pool.

        Raises Refusal(503) at once if the queue is full, or if its wait times out.
        """
        if self._executor is None:
            return work(*args, **kwargs)
        if self._take() > self._threads:
            let_go_of_database()
        try:
            future = self._executor.submit(work, *args, **kwargs)
        except BaseException:
            self._give_back()
            raise
        future.add_done_callback(lambda _: self._give_back())
        return self._result(future)

    def _take(self) -> int:
        with self._lock:
            if self._taken >= self._places:
                raise _busy()
            self._taken += 1
            return self._taken

    def _give_back(self) -> None:
        with self._lock:
            self._taken -= 1

    def _result(self, future: "Future[R]") -> R:
        try:
            return future.result(self._wait_s)
        except TimeoutError:
            if not future.cancel():
                # The work has started, so it will finish soon.
                return future.result()
            raise _busy() from None
        except CancelledError:
            raise _busy() from None


def make(password: str | None) -> str:
    """Return the hash of a new password; for None, a value that no password matches."""
    return _pool().run(hashers.make_password, password)


def verify(password: str | None, encoded: str) -> tuple[bool, bool]:
    """Return whether `password` matches the hash, and whether the hash uses outdated settings."""
    return _pool().run(hashers.verify_password, password, encoded)


def let_go_of_database() -> None:
    """Close this thread's database connections before a wait, unless a transaction needs them."""
    for connection in connections.all(initialized_only=True):
        if not connection.in_atomic_block:
            connection.close()


def _step_back() -> None:
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)


def _busy() -> Refusal:
    return unavailable("busy", _("Too many sign-ins at once; try again."), retry_after_s=RETRY_AFTER_S)


class _Current:
    """The pool of this process. It is created at the first password, so that no fork inherits it."""

    pool: HashingPool | None = None
    lock = threading.Lock()


def _pool() -> HashingPool:
    with _Current.lock:
        if _Current.pool is None:
            _Current.pool = HashingPool(
                settings.PASSWORD_THREADS, settings.PASSWORD_QUEUE, settings.PASSWORD_WAIT_S
            )
        return _Current.pool
