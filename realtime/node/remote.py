"""Reaches the serving processes through the broker, from a process that serves no sockets itself.

The connections are kept: they belong to one thread with an event loop of its own, which any thread and any
other event loop may use. A forked child has a thread of its own; inherited connections are never touched, because
it shares sockets with its parent.
"""

import asyncio
import atexit
import os
import threading
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

import msgspec

from realtime.conf import RealtimeSettings
from realtime.core.history import Change, Draft
from realtime.core.position import Position
from realtime.core.topics import Retention, TopicKey
from realtime.node.engine import build_attempts, build_engine
from realtime.node.rewrites import REWRITES_GROUP, Rewritten
from realtime.protocol.errors import PublishUnavailableError
from realtime.topics.engine.ports import Attempts, EngineUnavailableError

T = TypeVar("T")

# Calls of this process that may wait for the broker at the same time; beyond it the next one fails at once.
WAITING_MAX = 1000
# Seconds that the end of the process waits until the connections are closed.
CLOSE_TIMEOUT_S = 1.0
NO_BROKER = (
    "This process serves no sockets and there is no broker to reach the ones that do. "
    "Set REDIS_URL for the server and for this process."
)


class Remote:
    """The link from this process to the serving ones. Callable from any thread and any event loop.

    Its connections are bounded as those of a node: `MAX_CONNECTIONS` of the history, and the bus's own.
    """

    def __init__(self, settings: RealtimeSettings) -> None:
        self.settings = settings
        # By process id. After a fork the child finds its parent's here and leaves it alone.
        self._threads: dict[int, _LinkThread] = {}

    def publish(self, key: TopicKey, draft: Draft, retention: Retention) -> "Future[Position]":
        """Store and carry a publication; the future raises EngineUnavailableError or RequestError(conflict)."""

        async def publish(link: _Link) -> Position:
            return (await link.engine.publish(key, draft, retention)).position

        return self._thread().submit(publish)

    def tell(self, group: str, body: bytes) -> "Future[None]":
        """Send `body` to every node that joined the bus group; the future raises BusUnavailableError."""
        return self._thread().submit(lambda link: link.bus.send(group, body))

    def rewrite(self, key: TopicKey, change: Change) -> "Future[None]":
        """Replace data in the history of a topic, and tell every node; raises EngineUnavailableError."""

        async def rewrite(link: _Link) -> None:
            await link.history.rewrite(key, change)
            await link.bus.send(REWRITES_GROUP, msgspec.msgpack.encode(Rewritten(*key)))

        return self._thread().submit(rewrite)

    def count(self, work: Callable[[Attempts], Coroutine[Any, Any, T]]) -> "Future[T]":
        """Count attempts at the broker; the future raises EngineUnavailableError."""

        async def count(link: _Link) -> T:
            if link.attempts is None:
                raise EngineUnavailableError("The history counts no attempts.")
            return await work(link.attempts)

        return self._thread().submit(count)

    def close(self) -> None:
        """Close the connections of this process. The next call opens new ones."""
        thread = self._threads.pop(os.getpid(), None)
        if thread is not None:
            thread.close()

    def _thread(self) -> "_LinkThread":
        pid = os.getpid()
        # Atomic: if two threads make the first call at the same time, both get the one that is stored.
        return self._threads.get(pid) or self._threads.setdefault(pid, _LinkThread(self.settings))


class _Link:
    """History and bus. Made and used on the thread's loop only."""

    def __init__(self, settings: RealtimeSettings) -> None:
        self.history, self.bus, self.engine = build_engine(settings)
        self.attempts = build_attempts(self.history)

    async def close(self) -> None:
        await self.bus.stop()
        await self.history.close()


class _LinkThread:
    """A thread that runs a loop, started at the first call."""

    def __init__(self, settings: RealtimeSettings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._waiting = 0
        self._thread: threading.Thread | None = None
        # Not uvloop, which has handlers of its own for a fork.
        self._loop: asyncio.AbstractEventLoop | None = None
        self._link: _Link | None = None

    def submit(self, work: Callable[[_Link], Coroutine[Any, Any, T]]) -> "Future[T]":
        """Run `work` on the loop; raises PublishUnavailableError if too many calls wait already."""
        with self._lock:
            if self._waiting >= WAITING_MAX:
                raise PublishUnavailableError(f"{WAITING_MAX} calls wait for the broker already.")
            self._waiting += 1
            loop = self._started()
        future = asyncio.run_coroutine_threadsafe(self._run(work), loop)
        future.add_done_callback(self._done)
        return future

    def close(self) -> None:
        """Close the connections and end the thread."""
        loop, thread = self._loop, self._thread
        if loop is None or thread is None:
            return
        asyncio.run_coroutine_threadsafe(self._close(), loop)
        thread.join(CLOSE_TIMEOUT_S)

    def _started(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            self._loop = asyncio.SelectorEventLoop()
            self._thread = threading.Thread(
                target=_run_loop, args=(self._loop,), name="realtime-remote", daemon=True
            )
            self._thread.start()
        return self._loop

    def _done(self, _future: "Future[Any]") -> None:
        with self._lock:
            self._waiting -= 1

    async def _run(self, work: Callable[[_Link], Awaitable[T]]) -> T:
        if self._link is None:
            self._link = _Link(self._settings)
        return await work(self._link)

    async def _close(self) -> None:
        try:
            if self._link is not None:
                async with asyncio.timeout(CLOSE_TIMEOUT_S):
                    await self._link.close()
        finally:
            asyncio.get_running_loop().stop()


def _run_loop(loop: asyncio.AbstractEventLoop) -> None:
    try:
        loop.run_forever()
    finally:
        loop.close()


class _Current:
    """Holds the link of this process; made at the first use."""

    remote: Remote | None = None


def current_remote(settings: RealtimeSettings) -> Remote:
    """Return the link of this process to the serving ones.

    Raises PublishUnavailableError without a broker, and says what to configure.
    """
    if not settings.REDIS_URL:
        raise PublishUnavailableError(NO_BROKER)
    remote = _Current.remote
    if remote is None or remote.settings is not settings:
        # Other settings come only from a test that overrides them.
        forget()
        remote = _Current.remote = Remote(settings)
        atexit.register(remote.close)
    return remote


def forget() -> None:
    """Close the link of this process; the next use opens one with the settings at that time."""
    remote, _Current.remote = _Current.remote, None
    if remote is not None:
        remote.close()
        atexit.unregister(remote.close)
