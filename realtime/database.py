"""Database work off the loop: a bounded pool of threads, none of them shared with anything else."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import ParamSpec, TypeVar

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from realtime.protocol.errors import ErrorCode, RequestError

P = ParamSpec("P")
R = TypeVar("R")


class Database:
    """`threads` run at once; further work waits at most `wait_s` seconds for one.

    By default all database work of a Channels process shares a single thread, so that one slow query stalls every
    socket. After the work a PostgreSQL connection goes back to the driver's pool; one to an SQLite file stays with
    its thread, because opening it, and the checkpoint when the last one closes, cost more than the work.
    """

    def __init__(self, threads: int, wait_s: float) -> None:
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="realtime-db")
        self._slots = asyncio.Semaphore(threads)
        self._wait_s = wait_s
        self._kept: set[BaseDatabaseWrapper] = set()

    async def run(self, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run `work` in a thread; raises RequestError(timeout) when none became free in time."""
        try:
            async with asyncio.timeout(self._wait_s):
                await self._slots.acquire()
        except TimeoutError:
            raise RequestError(ErrorCode.TIMEOUT, "The database is busy; try again.") from None
        try:
            context = copy_context()
            running = asyncio.get_running_loop().run_in_executor(
                self._executor, lambda: context.run(self._call, lambda: work(*args, **kwargs))
            )
        except BaseException:
            self._slots.release()
            raise
        # A cancelled caller does not free the slot while its query still runs in the thread.
        running.add_done_callback(self._finished)
        return await asyncio.shield(running)

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

    def _finished(self, running: "asyncio.Future[R]") -> None:
        self._slots.release()
        if not running.cancelled():
            # Marks the outcome as seen: the caller may have gone.
            running.exception()
