"""Batched reads of the history: equal reads are shared, and reads requested
during a call go into the next."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from realtime.core.position import Position
from realtime.core.topics import TopicKey
from realtime.topics.engine.ports import Ask, Engine, Page

Spawn = Callable[[Coroutine[Any, Any, None]], "asyncio.Task[None]"]
# Pages read in one call. Each holds at most PAGE_MAX publications and PAGE_MAX_BYTES of their data.
ASKS_PER_CALL = 16
PAGE_MAX = 1000
PAGE_MAX_BYTES = 512 * 1024
# While more reads are expected, a call waits for them: at most so many steps of so many seconds.
GATHER_STEPS_MAX = 10
GATHER_STEP_S = 0.002

_Asked = tuple[TopicKey, Position | None]


class Reads:
    """Makes one call to the engine at a time. After a mass reconnect the number of calls depends on the
    number of topics, not of sockets."""

    def __init__(self, engine: Engine, spawn: Spawn) -> None:
        self._engine = engine
        self._spawn = spawn
        # How many more reads will be requested soon.
        self.expected = 0
        # In the order of the requests: those that wait, and those of the call in progress.
        self._waiting: dict[_Asked, asyncio.Future[Page]] = {}
        self._under_way: dict[_Asked, asyncio.Future[Page]] = {}
        self._is_running = False

    async def page(self, key: TopicKey, since: Position | None, *, fresh: bool = False) -> Page:
        """The topic's position and the first publications after `since` (None: the position only).

        A page may end before the topic's position; ask again from its last offset. With `fresh`, the read
        begins after this call: a call in progress is not shared. Raises EngineUnavailableError.
        """
        asked = (key, since)
        reading = self._waiting.get(asked) or (None if fresh else self._under_way.get(asked))
        if reading is None:
            reading = asyncio.get_running_loop().create_future()
            # All callers may have been cancelled by the time it fails.
            reading.add_done_callback(_seen)
            self._waiting[asked] = reading
            if not self._is_running:
                self._is_running = True
                self._spawn(self._run())
        # A cancelled caller must not cancel the read for the others.
        return await asyncio.shield(reading)

    async def _run(self) -> None:
        try:
            while self._waiting:
                await self._call()
        finally:
            self._is_running = False
            for reading in (*self._waiting.values(), *self._under_way.values()):
                reading.cancel()
            self._waiting, self._under_way = {}, {}

    async def _gather(self) -> None:
        for _ in range(GATHER_STEPS_MAX):
            if not self.expected or len(self._waiting) >= ASKS_PER_CALL:
                return
            await asyncio.sleep(GATHER_STEP_S)

    async def _call(self) -> None:
        await self._gather()
        chosen = list(self._waiting)[:ASKS_PER_CALL]
        self._under_way = {asked: self._waiting.pop(asked) for asked in chosen}
        try:
            asks = [Ask(key, since, PAGE_MAX, PAGE_MAX_BYTES) for key, since in chosen]
            pages = await self._engine.pages(asks)
        except Exception as error:
            for reading in self._under_way.values():
                reading.set_exception(error)
        else:
            for reading, page in zip(self._under_way.values(), pages, strict=True):
                reading.set_result(page)
        self._under_way = {}


def _seen(reading: "asyncio.Future[Page]") -> None:
    if not reading.cancelled():
        reading.exception()
