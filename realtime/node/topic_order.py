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
# Bytes of the work that waits or runs, of one tenant and of all (0: no bound). Above them the newest work of the tenant
# that holds the most is refused.
TENANT_MAX_BYTES = 16 * 1024 * 1024
MAX_BYTES = 64 * 1024 * 1024
# The bytes that a piece of work holds besides its data. So the work of a tenant is bounded in number, too: 16,384.
WORK_BYTES = 1024


class _Topic:
    """A topic with work. `count` is the work that waits or runs."""

    __slots__ = ("count", "turn")

    def __init__(self) -> None:
        # asyncio's locks are taken in the order in which they were asked for.
        self.turn = asyncio.Lock()
        self.count = 0


class _Work:
    """A piece of work that waits or runs. `time_limit` ends it; there is none while it waits."""

    __slots__ = ("has_begun", "is_refused", "size_bytes", "time_limit")

    def __init__(self, size_bytes: int) -> None:
        self.size_bytes = size_bytes
        self.time_limit = asyncio.timeout(None)
        self.has_begun = self.is_refused = False

    def begin(self) -> None:
        """Its turn has come; raises PublishUnavailableError if it was refused just before."""
        if self.is_refused:
            raise _full()
        self.has_begun = True
        self.time_limit.reschedule(asyncio.get_running_loop().time() + WORK_TIMEOUT_S)

    def refuse(self) -> None:
        """End it, for others that hold less."""
        self.is_refused = True
        self.time_limit.reschedule(asyncio.get_running_loop().time())


class _Held:
    """What a tenant holds: its work, the oldest first, and the bytes of it."""

    __slots__ = ("size_bytes", "work")

    def __init__(self) -> None:
        self.size_bytes = 0
        self.work: dict[_Work, None] = {}


class TopicOrder:
    """The work on topics that threads of one node asked for. Used only on its event loop."""

    def __init__(self, *, tenant_max_bytes: int = TENANT_MAX_BYTES, max_bytes: int = MAX_BYTES) -> None:
        self._tenant_max_bytes = tenant_max_bytes
        self._max_bytes = max_bytes
        self._topics: dict[TopicKey, _Topic] = {}
        # By tenant; those with none are removed.
        self._held: dict[str, _Held] = {}
        self._size_bytes = 0
        self._idle = asyncio.Event()
        self._idle.set()

    async def run(self, key: TopicKey, work: Callable[[], Awaitable[T]], *, size_bytes: int = 0) -> T:
        """Do `work`, which holds `size_bytes`, after all work on the topic that was asked for before.

        Raises TimeoutError after WORK_TIMEOUT_S: what became of it is not known. Raises PublishUnavailableError if too much
        waits. It was not done then.
        """
        mine = self._take_room(key.tenant, size_bytes + WORK_BYTES)
        topic = self._topics.setdefault(key, _Topic())
        topic.count += 1
        self._idle.clear()
        try:
            async with mine.time_limit, topic.turn:
                mine.begin()
                return await work()
        except TimeoutError:
            if mine.has_begun:
                raise
            raise _full() from None
        finally:
            self._give_room_back(key.tenant, mine)
            topic.count -= 1
            if not topic.count:
                del self._topics[key]
            if not self._topics:
                self._idle.set()

    def _take_room(self, tenant: str, size_bytes: int) -> _Work:
        """Count new work. If that is too much, newer work of the tenants that hold more is refused, or else this."""
        mine = _Work(size_bytes)
        held = self._held.setdefault(tenant, _Held())
        held.work[mine] = None
        held.size_bytes += size_bytes
        self._size_bytes += size_bytes
        if 0 < self._tenant_max_bytes < held.size_bytes:
            self._give_room_back(tenant, mine)
            raise _full()
        while 0 < self._max_bytes < self._size_bytes:
            # Only a process that is full looks at all tenants.
            largest = max(self._held, key=lambda each: (self._held[each].size_bytes, each == tenant))
            newest = next(reversed(self._held[largest].work))
            self._give_room_back(largest, newest)
            if newest is mine:
                raise _full()
            newest.refuse()
        return mine

    def _give_room_back(self, tenant: str, work: _Work) -> None:
        held = self._held.get(tenant)
        if held is None or work not in held.work:
            # It was refused.
            return
        del held.work[work]
        held.size_bytes -= work.size_bytes
        self._size_bytes -= work.size_bytes
        if not held.work:
            del self._held[tenant]

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


def _full() -> PublishUnavailableError:
    return PublishUnavailableError("Too much waits for the broker already.")
