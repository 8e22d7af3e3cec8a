"""Hashing passwords in a pool of its own: slow by design, so that guesses must not take the processors from others.

A hash takes some 0.4 s of a processor. The pool has PASSWORD_THREADS threads, below the priority of everything else,
and a bounded queue. Whoever waits holds no database connection.
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

from realtime import Refusal, unavailable

P = ParamSpec("P")
R = TypeVar("R")

RETRY_AFTER_S = 5
# Linux's nice value of the threads: the loop, which echoes everybody's messages, goes first.
NICENESS = 10


class HashingPool:
    """`threads` hash at once, `waiting` more wait, each for at most `wait_s` seconds. 0: no bound."""

    def __init__(self, threads: int, waiting: int, wait_s: float) -> None:
        self._executor = ThreadPoolExecutor(threads, "password", _step_back) if threads else None
        self._threads = threads
        self._places = threads + waiting if waiting else math.inf
        self._taken = 0
        self._lock = threading.Lock()
        self._wait_s = wait_s or None

    def run(self, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run it in the pool. Raises Refusal(503) at once where the queue is full, and when its turn does not come."""
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
                # Its turn has come; it will not be long now.
                return future.result()
            raise _busy() from None
        except CancelledError:
            raise _busy() from None


def make(password: str | None) -> str:
    """The hash of a new password; of None, what no password matches."""
    return _pool().run(hashers.make_password, password)


def verify(password: str | None, encoded: str) -> tuple[bool, bool]:
    """Whether `password` is the one of the hash, and whether the hash is of an older kind than new ones."""
    return _pool().run(hashers.verify_password, password, encoded)


def let_go_of_database() -> None:
    """Give this thread's connections back before a wait, unless a transaction needs them."""
    for connection in connections.all(initialized_only=True):
        if not connection.in_atomic_block:
            connection.close()


def _step_back() -> None:
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)


def _busy() -> Refusal:
    return unavailable("busy", "Too many sign-ins at this moment.", retry_after_s=RETRY_AFTER_S)


class _Current:
    """The pool of this process, made at the first password: a process forked before it has none yet."""

    pool: HashingPool | None = None
    lock = threading.Lock()


def _pool() -> HashingPool:
    with _Current.lock:
        if _Current.pool is None:
            _Current.pool = HashingPool(
                settings.PASSWORD_THREADS, settings.PASSWORD_QUEUE, settings.PASSWORD_WAIT_S
            )
        return _Current.pool
