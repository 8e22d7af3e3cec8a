"""Database work off the loop: a bounded pool of threads, none of them shared with anything else."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from channels.db import database_sync_to_async

from realtime.protocol.errors import ErrorCode, RequestError

P = ParamSpec("P")
R = TypeVar("R")


class Database:
    """`threads` run at once; further work waits at most `wait_s` seconds for one.

    Each thread has its own connection, closed or given back to the driver's pool after the work. By default all
    database work of a Channels process shares a single thread, so that one slow query stalls every socket.
    """

    def __init__(self, threads: int, wait_s: float) -> None:
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="realtime-db")
        self._slots = asyncio.Semaphore(threads)
        self._wait_s = wait_s

    async def run(self, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run `work` in a thread; raises RequestError(timeout) when none became free in time."""
        try:
            async with asyncio.timeout(self._wait_s):
                await self._slots.acquire()
        except TimeoutError:
            raise RequestError(ErrorCode.TIMEOUT, "The database is busy; try again.") from None
        try:
            call = database_sync_to_async(work, thread_sensitive=False, executor=self._executor)
            # A cancelled caller must not free the slot while its query still runs in the thread.
            running = asyncio.ensure_future(call(*args, **kwargs))
            running.add_done_callback(self._finished)
        except BaseException:
            self._slots.release()
            raise
        return await asyncio.shield(running)

    def close(self) -> None:
        """Take no more work; what runs may end."""
        self._executor.shutdown(wait=False, cancel_futures=True)

    def _finished(self, running: "asyncio.Future[R]") -> None:
        self._slots.release()
        if not running.cancelled():
            # Marks the outcome as seen: the caller may have gone.
            running.exception()
