"""Database work of a site under test: in a thread, but with the connections and the transaction of the test."""

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from contextvars import copy_context
from typing import Any, ParamSpec, TypeVar

from asgiref.sync import sync_to_async
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from realtime.core.slots import PROCESS, Owner
from realtime.node.database import Database
from realtime.testing.transactions import committed

logger = logging.getLogger(__name__)

P = ParamSpec("P")
R = TypeVar("R")
Connections = Mapping[str, BaseDatabaseWrapper]
# The method of a connection that closes it if it is old.
KEEPER = "close_if_unusable_or_obsolete"
# Work that waits for other work may be so deep.
THREADS = 8


def own_connections() -> Connections:
    """Return the connections of this thread."""
    return {connection.alias: connection for connection in connections.all()}


async def connections_of_test() -> Connections:
    """Return the connections of the test: of the main thread, or of the one that waits for this loop (`TestCase`)."""
    if threading.current_thread() is not threading.main_thread():
        return await sync_to_async(own_connections, thread_sensitive=True)()
    # Code on a loop has other connections than its thread, and fixtures use those of the thread.
    loop = asyncio.get_running_loop()
    asyncio._set_running_loop(None)  # noqa: SLF001 asyncio's own, for those who embed a loop
    try:
        return own_connections()
    finally:
        asyncio._set_running_loop(loop)  # noqa: SLF001 as above


@asynccontextmanager
async def shared_with_async_orm(shared: Connections) -> AsyncIterator[None]:
    """Let `await Model.objects.acreate()` and other `sync_to_async` work of the test use these connections."""
    before = await sync_to_async(share, thread_sensitive=True)(shared)
    try:
        yield
    finally:
        await sync_to_async(share, thread_sensitive=True)(before)


def share(shared: Connections) -> Connections:
    before = own_connections()
    for alias, connection in shared.items():
        connections[alias] = connection
    return before


class SharedDatabase(Database):
    """Threads that see the rows that the test has written and not committed. Several nodes may share it.

    They share the connections, so one of them works at a time. While its work waits for the node, another may.
    """

    def __init__(self, shared: Connections) -> None:
        super().__init__(1, 0)
        self._shared = dict(shared)
        self._turn = threading.Lock()
        self._threads = threading.local()
        self._running: set[asyncio.Future[Any]] = set()
        for connection in shared.values():
            connection.inc_thread_sharing()
            # `close_old_connections()` around the project's work would end the transaction of the test.
            setattr(connection, KEEPER, _nothing)
        self._executor = ThreadPoolExecutor(
            THREADS, "realtime-test-db", initializer=share, initargs=(shared,)
        )

    async def run_for(self, owner: Owner, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """As `Database.run_for`; nobody has to wait for a turn."""
        context = copy_context()
        loop = asyncio.get_running_loop()

        def job() -> R:
            return self._in_turn(lambda: work(*args, **kwargs))

        running = loop.run_in_executor(self._executor, context.run, job)
        self._running.add(running)
        running.add_done_callback(self._running.discard)
        return await asyncio.shield(running)

    @contextmanager
    def others_may_work(self) -> Iterator[bool]:
        """Let other work have its turn while the work of this thread waits. Yields False in any other thread."""
        if not getattr(self._threads, "is_working", False):
            yield False
            return
        self._turn.release()
        try:
            yield True
        finally:
            self._turn.acquire()

    async def settled(self) -> None:
        """Wait until no work runs, and what waited for a commit of the test's code is done."""
        while self._running or self._is_behind():
            if self._running:
                await asyncio.wait(set(self._running))
            else:
                await self.run_for(PROCESS, _nothing)

    async def close(self) -> None:
        """Do nothing: nodes may share it. `end` closes it."""

    async def end(self) -> None:
        """Accept no more work, and leave the connections to the test."""
        await asyncio.to_thread(self._executor.shutdown, wait=True, cancel_futures=True)
        while self._shared:
            _, connection = self._shared.popitem()
            connection.dec_thread_sharing()
            delattr(connection, KEEPER)

    def _in_turn(self, work: Callable[[], R]) -> R:
        with self._turn:
            self._threads.is_working = True
            try:
                return work()
            finally:
                _do_what_is_committed()
                self._threads.is_working = False

    def _is_behind(self) -> bool:
        return bool(committed(self._shared.values()))


def _do_what_is_committed() -> None:
    for waiting in committed():
        try:
            waiting()
        except Exception:
            # As Django does: the transaction is committed, so its code goes on.
            logger.exception("Work that waited for a commit failed")


def _nothing() -> None:
    return
