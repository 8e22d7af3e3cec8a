"""The publications of a connection that wait for the broker.

The messages that come after one of them do not wait for it: a server of the broker that hangs holds up its own topics
only. The publications to one topic are made in the order in which they came.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Coroutine
from functools import partial
from typing import Any, NamedTuple

from realtime.endpoints.verbs import Call, Handler, Verb
from realtime.protocol.envelope import Reply
from realtime.sockets.completed import COMPLETED
from realtime.sockets.connection import Connection

# Seconds that a connection which has ended waits for its publications. After that they are cancelled.
END_S = 5.0
# A connection that waits for room goes on when this part of its places is free.
WAKES_SHARE = 16

Publish = Callable[[], Coroutine[Any, Any, None]]


class PublishingBytes:
    """The bytes of the publications of a process that wait for the broker: at most `limit_bytes` (0: no bound)."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self.used = 0

    @property
    def is_spent(self) -> bool:
        """Whether a connection may have no more than one publication in flight now."""
        return 0 < self._limit_bytes <= self.used


# The publications to one topic that are still to be made, each with its bytes.
Queue = deque[tuple[Publish, int]]


class _Topic(NamedTuple):
    """The publications to one topic, and the task that makes one after the other."""

    queue: Queue
    task: asyncio.Task[None]


class Publishing:
    """The publications in flight of one connection: at most `limit` (0: no bound), and one while the bytes of the process
    are spent."""

    __slots__ = ("_bytes", "_connection", "_count", "_limit", "_room", "_topics", "_wakes_at")

    def __init__(self, connection: Connection, limit: int, in_bytes: PublishingBytes) -> None:
        self._connection = connection
        self._limit = limit
        # Not at the first free place: a connection that sends faster than the broker answers would wait for each.
        self._wakes_at = max(limit - 1 - limit // WAKES_SHARE, 0)
        self._bytes = in_bytes
        self._count = 0
        self._topics: dict[str, _Topic] = {}
        self._room: asyncio.Future[None] | None = None

    def before(self, verb: Verb, handle: Handler) -> Handler:
        """Return `handle`, which waits for the publications in flight to the topics that its payload is about."""
        topics = verb.topics
        if topics is None or not self._topics:
            return handle

        def in_order(call: Call[Any], payload: Any) -> Awaitable[Reply | None]:
            before = self._tasks(set(topics(payload)))
            return _handled_after(before, handle, call, payload) if before else handle(call, payload)

        return in_order

    def start(self, name: str, publish: Publish, size_bytes: int) -> Awaitable[None]:
        """Publish after the earlier publications to the topic `name`. `publish` must not fail.

        Await the result before the next message is handled: it waits while too many are in flight.
        """
        topic = self._topics.get(name)
        if topic is None:
            queue = Queue()
            topic = self._topics[name] = _Topic(queue, self._connection.adopt(self._run(name, queue)))
            topic.task.add_done_callback(partial(self._ended, queue))
        topic.queue.append((publish, size_bytes))
        self._count += 1
        self._bytes.used += size_bytes
        return COMPLETED if self._has_room else self._wait_for_room()

    async def finish(self) -> None:
        """Wait for the publications in flight, because the client has ended the connection after them."""
        if tasks := self._tasks(self._topics):
            await asyncio.wait(tasks, timeout=END_S)

    def _tasks(self, names: Collection[str]) -> list["asyncio.Task[None]"]:
        return [self._topics[name].task for name in names if name in self._topics]

    @property
    def _has_room(self) -> bool:
        is_full = 0 < self._limit <= self._count or self._bytes.is_spent
        return not is_full or not self._count

    async def _wait_for_room(self) -> None:
        while not self._has_room:
            self._room = asyncio.get_running_loop().create_future()
            await self._room

    async def _run(self, name: str, queue: Queue) -> None:
        try:
            while queue:
                publish, size_bytes = queue.popleft()
                try:
                    await publish()
                finally:
                    self._leave(size_bytes)
        finally:
            # At once: the next publication to the topic needs a task of its own.
            del self._topics[name]

    def _ended(self, queue: Queue, task: "asyncio.Task[None]") -> None:
        self._connection.disown(task)
        # Some are left if the task was cancelled, perhaps before its first step.
        for _, size_bytes in queue:
            self._leave(size_bytes)
        queue.clear()

    def _leave(self, size_bytes: int) -> None:
        self._count -= 1
        self._bytes.used -= size_bytes
        room = self._room
        if room is not None and self._count <= self._wakes_at and not room.done():
            room.set_result(None)


async def _handled_after(
    before: Collection["asyncio.Task[None]"], handle: Handler, call: Call[Any], payload: Any
) -> Reply | None:
    await asyncio.wait(before)
    return await handle(call, payload)
