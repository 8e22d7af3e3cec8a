"""Database work of a site under test: in a thread, but with the connections and the transaction of the test."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Any, ParamSpec, TypeVar

from asgiref.sync import sync_to_async
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from realtime.core.slots import Owner
from realtime.node.database import Database

P = ParamSpec("P")
R = TypeVar("R")


async def connections_of_test() -> dict[str, BaseDatabaseWrapper]:
    """Return the connections of the test: of the main thread, or of the one that waits for this loop (`TestCase`)."""

    def own() -> dict[str, BaseDatabaseWrapper]:
        return {connection.alias: connection for connection in connections.all()}

    if threading.current_thread() is threading.main_thread():
        return own()
    return await sync_to_async(own, thread_sensitive=True)()


class SharedDatabase(Database):
    """One thread that sees the rows that the test has written and not committed."""

    def __init__(self, shared: dict[str, BaseDatabaseWrapper]) -> None:
        super().__init__(1, 0)
        self._shared = shared
        self._running: set[asyncio.Future[Any]] = set()
        for connection in shared.values():
            connection.inc_thread_sharing()
        self._executor = ThreadPoolExecutor(1, "realtime-test-db", initializer=self._share)

    async def run_for(self, owner: Owner, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """As `Database.run_for`; nobody has to wait for a turn."""
        context = copy_context()
        loop = asyncio.get_running_loop()
        running = loop.run_in_executor(self._executor, lambda: context.run(work, *args, **kwargs))
        self._running.add(running)
        running.add_done_callback(self._running.discard)
        return await asyncio.shield(running)

    async def settled(self) -> None:
        """Wait until no work runs."""
        while self._running:
            await asyncio.wait(set(self._running))

    async def close(self) -> None:
        """Accept no more work, and leave the connections to the test. It may be closed several times."""
        await asyncio.to_thread(self._executor.shutdown, wait=True, cancel_futures=True)
        while self._shared:
            self._shared.popitem()[1].dec_thread_sharing()

    def _share(self) -> None:
        for alias, connection in self._shared.items():
            connections[alias] = connection
