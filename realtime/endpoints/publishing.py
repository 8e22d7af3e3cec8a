"""The publications of a connection that wait for the broker.

The messages behind one of them do not wait with it: a server of the broker that hangs holds up its own topics only. The
publications to one topic are made in the order in which they came.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Coroutine
from functools import partial
from typing import Any

from realtime.endpoints.verbs import Call, Handler, Verb
from realtime.protocol.envelope import Reply
from realtime.sockets.completed import COMPLETED
from realtime.sockets.connection import Connection

# Seconds that a connection which has ended waits for its publications. After that they are cancelled.
END_S = 5.0


class PublishingBytes:
    """The bytes of the publications of a process that wait for the broker: at most `limit_bytes` (0: no bound)."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self.used = 0

    @property
    def is_spent(self) -> bool:
        """Whether a connection may have no more than one publication in flight now."""
        return 0 < self._limit_bytes <= self.used


class Publishing:
    """The publications in flight of one connection: at most `limit` (0: no bound), and one while the bytes of the process
    are spent."""

    __slots__ = ("_all", "_bytes", "_connection", "_last", "_limit", "_room")

    def __init__(self, connection: Connection, limit: int, in_bytes: PublishingBytes) -> None:
        self._connection = connection
        self._limit = limit
        self._bytes = in_bytes
        # Those in flight, and the newest of each topic.
        self._all: set[asyncio.Task[None]] = set()
        self._last: dict[str, asyncio.Task[None]] = {}
        self._room: asyncio.Future[None] | None = None

    def before(self, verb: Verb, handle: Handler) -> Handler:
        """Return `handle`, which waits for the publications in flight to the topics that its payload is about."""
        topics = verb.topics
        if topics is None or not self._last:
            return handle

        def in_order(call: Call[Any], payload: Any) -> Awaitable[Reply | None]:
            before = [self._last[topic] for topic in topics(payload) if topic in self._last]
            return _handled_after(before, handle, call, payload) if before else handle(call, payload)

        return in_order

    def start(
        self, topic: str, publish: Callable[[], Coroutine[Any, Any, None]], size_bytes: int
    ) -> Awaitable[None]:
        """Publish after the earlier publications to the topic. `publish` must not fail.

        Await the result before the next message is handled: it waits while too many are in flight.
        """
        before = self._last.get(topic)
        work = publish() if before is None else _after(before, publish)
        task = self._last[topic] = self._connection.adopt(work)
        self._all.add(task)
        self._bytes.used += size_bytes
        task.add_done_callback(partial(self._ended, topic, size_bytes))
        return COMPLETED if self._has_room else self._wait_for_room()

    async def finish(self) -> None:
        """Wait for the publications in flight, because the client has ended the connection after them."""
        if self._all:
            await asyncio.wait(self._all, timeout=END_S)

    @property
    def _has_room(self) -> bool:
        is_full = 0 < self._limit <= len(self._all) or self._bytes.is_spent
        return not is_full or not self._all

    async def _wait_for_room(self) -> None:
        while not self._has_room:
            self._room = asyncio.get_running_loop().create_future()
            await self._room

    def _ended(self, topic: str, size_bytes: int, task: "asyncio.Task[None]") -> None:
        self._connection.disown(task)
        self._all.discard(task)
        self._bytes.used -= size_bytes
        if self._last.get(topic) is task:
            del self._last[topic]
        if self._room is not None and not self._room.done():
            self._room.set_result(None)


async def _handled_after(
    before: Collection["asyncio.Task[None]"], handle: Handler, call: Call[Any], payload: Any
) -> Reply | None:
    await asyncio.wait(before)
    return await handle(call, payload)


async def _after(before: "asyncio.Task[None]", publish: Callable[[], Coroutine[Any, Any, None]]) -> None:
    # Not `await before`: that one may be cancelled.
    await asyncio.wait([before])
    await publish()
