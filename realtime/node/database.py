"""Database work off the loop: a bounded pool of threads, none of them shared with anything else."""

import asyncio
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import ParamSpec, TypeVar

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from realtime.conf import RealtimeSettings
from realtime.core.slots import PROCESS, Entry, Owner, Slots
from realtime.protocol.errors import ErrorCode, RequestError

P = ParamSpec("P")
R = TypeVar("R")


# What is told to work that finds too much waiting: about as long as the queue takes to become shorter.
FULL_RETRY_AFTER_MS = 500


class Database:
    """`threads` run at once; further work waits at most `wait_s` seconds for one (0: without end), in turns between
    tenants and users: `core.slots` has the rule. At most `waiting_max` wait, `waiting_per_tenant_max` of a tenant's.

    By default all database work of a Channels process shares a single thread, so that one slow query stalls every
    socket. After the work a PostgreSQL connection goes back to the driver's pool; one to an SQLite file stays with
    its thread, because opening it, and the checkpoint when the last one closes, cost more than the work.
    """

    def __init__(
        self, threads: int, wait_s: float, *, waiting_max: int = 0, waiting_per_tenant_max: int = 0
    ) -> None:
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="realtime-db")
        self._slots = Slots(threads, waiting_max, waiting_per_tenant_max)
        # What waits in `_slots`, by its number there.
        self._turns: dict[Hashable, asyncio.Future[None]] = {}
        self._wait_s = wait_s
        self._kept: set[BaseDatabaseWrapper] = set()

    async def run(self, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """`run_for` the process itself."""
        return await self.run_for(PROCESS, work, *args, **kwargs)

    async def run_for(self, owner: Owner, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run `work` in a thread; raises RequestError(timeout) when none became free in time, RequestError(rate_limited)
        at once when too much of this tenant's, or of all, waits already."""
        entry = self._slots.enter(owner, turn := object())
        if entry is Entry.FULL:
            raise RequestError(
                ErrorCode.RATE_LIMITED, "The database is busy; try again.", retry_after_ms=FULL_RETRY_AFTER_MS
            )
        if entry is Entry.WAIT:
            await self._wait(owner, turn)
        try:
            context = copy_context()
            running = asyncio.get_running_loop().run_in_executor(
                self._executor, lambda: context.run(self._call, lambda: work(*args, **kwargs))
            )
        except BaseException:
            self._leave(owner)
            raise
        # A cancelled caller does not free the slot while its query still runs in the thread.
        running.add_done_callback(lambda done: self._finished(owner, done))
        return await asyncio.shield(running)

    async def _wait(self, owner: Owner, turn: object) -> None:
        waiting = self._turns[turn] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(self._wait_s or None):
                await waiting
        except BaseException as error:
            if self._turns.pop(turn, None) is None:
                # Its turn came in the same moment: the slot is its own.
                self._leave(owner)
            else:
                self._slots.withdraw(owner, turn)
                self._begin_next()
            if isinstance(error, TimeoutError):
                raise RequestError(ErrorCode.TIMEOUT, "The database is busy; try again.") from None
            raise

    def _leave(self, owner: Owner) -> None:
        self._slots.leave(owner)
        self._begin_next()

    def _begin_next(self) -> None:
        while (turn := self._slots.next()) is not None:
            waiting = self._turns.pop(turn)
            # One that was cancelled just before gives its slot back when it hears of that.
            if not waiting.done():
                waiting.set_result(None)

    async def close(self) -> None:
        """Take no more work, wait for what runs, and close what is kept open."""
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        self._executor.shutdown(wait=True, cancel_futures=True)
        for connection in self._kept:
            # Its thread has ended.
            connection.inc_thread_sharing()
            connection.close()
        self._kept.clear()

    def _call(self, work: Callable[[], R]) -> R:
        try:
            return work()
        finally:
            for connection in connections.all(initialized_only=True):
                if connection.vendor != "sqlite" or connection.errors_occurred:
                    connection.close()
                else:
                    self._kept.add(connection)

    def _finished(self, owner: Owner, running: "asyncio.Future[R]") -> None:
        self._leave(owner)
        if not running.cancelled():
            # Marks the outcome as seen: the caller may have gone.
            running.exception()


def build_database(settings: RealtimeSettings) -> Database:
    """The threads of a process, as the settings want them."""
    return Database(
        settings.DATABASE_THREADS,
        settings.DATABASE_WAIT_S,
        waiting_max=settings.DATABASE_WAITING,
        waiting_per_tenant_max=settings.DATABASE_WAITING_PER_TENANT,
    )
