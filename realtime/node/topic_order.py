"""Keeps the order in which threads asked for work on topics: one after the other on a topic, topics side by side.

A thread does not wait for what follows its commit, because the server of the broker that has the topic may hang.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeVar

from realtime.core.topics import TopicKey
from realtime.protocol.errors import PublishUnavailableError

T = TypeVar("T")

# Seconds for one piece of work. The next on its topic begins then, whatever became of it.
WORK_TIMEOUT_S = 5.0
# Seconds that a process that ends waits for its last work.
FINISH_S = 1.0
# Bytes of the publications that wait, of one tenant and of all (0: no bound). Above it the next ones are refused.
TENANT_MAX_BYTES = 16 * 1024 * 1024
MAX_BYTES = 64 * 1024 * 1024
# The bytes that a publication holds besides its data.
PUBLICATION_BYTES = 1024


class _Topic:
    """A topic with work. `count` is the work that waits or runs."""

    __slots__ = ("count", "turn")

    def __init__(self) -> None:
        # asyncio's locks are taken in the order in which they were asked for.
        self.turn = asyncio.Lock()
        self.count = 0


class TopicOrder:
    """The work on topics that threads of one node asked for. Used only on its event loop."""

    def __init__(self, *, tenant_max_bytes: int = TENANT_MAX_BYTES, max_bytes: int = MAX_BYTES) -> None:
        self._tenant_max_bytes = tenant_max_bytes
        self._max_bytes = max_bytes
        self._topics: dict[TopicKey, _Topic] = {}
        # By tenant; those with none are removed.
        self._bytes: dict[str, int] = {}
        self._idle = asyncio.Event()
        self._idle.set()

    async def publish(self, key: TopicKey, size_bytes: int, work: Callable[[], Awaitable[T]]) -> T:
        """As `run`, for a publication of `size_bytes`; also raises PublishUnavailableError if too many bytes wait."""
        size_bytes += PUBLICATION_BYTES
        of_tenant = self._bytes.get(key.tenant, 0) + size_bytes
        of_all = sum(self._bytes.values()) + size_bytes
        if 0 < self._tenant_max_bytes < of_tenant or 0 < self._max_bytes < of_all:
            raise PublishUnavailableError("Too many publications wait for the broker already.")
        self._bytes[key.tenant] = of_tenant
        try:
            return await self.run(key, work)
        finally:
            self._bytes[key.tenant] -= size_bytes
            if not self._bytes[key.tenant]:
                del self._bytes[key.tenant]

    async def run(self, key: TopicKey, work: Callable[[], Awaitable[T]]) -> T:
        """Do `work` after all work on the topic that was asked for before; raises TimeoutError after WORK_TIMEOUT_S."""
        topic = self._topics.setdefault(key, _Topic())
        topic.count += 1
        self._idle.clear()
        try:
            async with topic.turn, asyncio.timeout(WORK_TIMEOUT_S):
                return await work()
        finally:
            topic.count -= 1
            if not topic.count:
                del self._topics[key]
            if not self._topics:
                self._idle.set()

    async def after(self, key: TopicKey, *, at_most_s: float | None = None) -> None:
        """Wait for the work on the topic that was asked for before, `at_most_s` seconds (None: to its end)."""
        if (topic := self._topics.get(key)) is None:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(at_most_s), topic.turn:
                pass

    async def finish(self, at_most_s: float = FINISH_S) -> None:
        """Wait until no work is left, at most `at_most_s` seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(at_most_s):
                await self._idle.wait()
