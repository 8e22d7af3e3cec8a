"""Runs database work off the event loop, in a bounded pool of threads used for nothing else."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import ParamSpec, TypeVar

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from realtime.conf import RealtimeSettings
from realtime.core.slots import PROCESS, Owner
from realtime.node.turns import SlotQueue

P = ParamSpec("P")
R = TypeVar("R")


class Database:
    """Runs up to `threads` pieces of work at once. Further work waits at most `wait_s` seconds (0: without
    limit). Tenants and users take turns; `core.slots` has the rules. At most `waiting_max` pieces wait, and
    `waiting_per_tenant_max` of one tenant.

    By default all database work of a Channels process shares one thread, so that one slow query stalls every
    socket. After the work a PostgreSQL connection returns to the driver's pool. A connection to an SQLite
    file stays with its thread, because opening it, and the checkpoint when the last one
    closes, cost more than the work.
    """

    def __init__(
        self, threads: int, wait_s: float, *, waiting_max: int = 0, waiting_per_tenant_max: int = 0
    ) -> None:
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="realtime-db")
        self._slots = SlotQueue(
            threads,
            busy="The database is busy; try again.",
            wait_s=wait_s,
            waiting_max=waiting_max,
            waiting_per_tenant_max=waiting_per_tenant_max,
        )
        self._kept: set[BaseDatabaseWrapper] = set()

    @property
    def slots(self) -> SlotQueue:
        """The queue for the threads: the work that waits, and how long it waited."""
        return self._slots

    async def run(self, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """As `run_for`, with the process itself as owner."""
        return await self.run_for(PROCESS, work, *args, **kwargs)

    async def run_for(self, owner: Owner, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run `work` in a thread. Raises RequestError(timeout) if no thread became free in time, and
        RequestError(rate_limited) at once if too much work of this tenant, or of all, already waits."""
        await self._slots.take(owner)
        try:
            context = copy_context()
            running = asyncio.get_running_loop().run_in_executor(
                self._executor, lambda: context.run(self._call, lambda: work(*args, **kwargs))
            )
        except BaseException:
            self._slots.give_back(owner)
            raise
        # If the caller is cancelled, the slot stays taken until the query in the thread has ended.
        running.add_done_callback(lambda done: self._finished(owner, done))
        return await asyncio.shield(running)

    async def close(self) -> None:
        """Accept no more work, wait for running work, and close the connections that are kept open."""
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        self._executor.shutdown(wait=True, cancel_futures=True)
        for connection in self._kept:
            # Allowed from this thread, because the connection's own thread has ended.
            connection.inc_thread_sharing()
            connection.close()
        self._kept.clear()

    def _call(self, work: Callable[[], R]) -> R:
        try:
            return work()
        except (StopIteration, SystemExit) as error:
            # asyncio cannot hand on the first, so that its caller would wait for ever, and ends the process at
            # the second.
            raise RuntimeError(f"Database work ended with {error!r}.") from error
        finally:
            for connection in connections.all(initialized_only=True):
                if connection.vendor != "sqlite" or connection.errors_occurred:
                    connection.close()
                else:
                    self._kept.add(connection)

    def _finished(self, owner: Owner, running: "asyncio.Future[R]") -> None:
        self._slots.give_back(owner)
        if not running.cancelled():
            # Retrieves the exception, because the caller may have been cancelled; otherwise asyncio logs it.
            running.exception()


def build_database(settings: RealtimeSettings) -> Database:
    """The database threads of a process, as configured."""
    return Database(
        settings.DATABASE_THREADS,
        settings.DATABASE_WAIT_S,
        waiting_max=settings.DATABASE_WAITING,
        waiting_per_tenant_max=settings.DATABASE_WAITING_PER_TENANT,
    )
