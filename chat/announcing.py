"""Announces stored messages: in order within a room, and rooms side by side.

A room whose topic cannot be published to, because a server of the broker hangs, holds up no other room and no writer.
Runs on the loop.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from chat import wire

logger = logging.getLogger(__name__)

Announce = Callable[[Sequence[wire.Message]], Coroutine[Any, Any, None]]
Spawn = Callable[[Coroutine[Any, Any, None]], "asyncio.Task[None]"]

# Messages of one room that are announced in one go.
ROOM_BATCH_MAX = 128
# Seconds for one go. The sweep (`chat.unannounced`) announces the messages that the broker has not accepted by then.
ROOM_BATCH_TIMEOUT_S = 5.0
# Messages that may wait to be announced; above it the writer waits.
WAITING_MAX = 1000


class Announcer:
    """The messages of a tenant on their way to their topics. `announce` publishes some of one room, in their order."""

    def __init__(self, announce: Announce, spawn: Spawn, *, waiting_max: int = WAITING_MAX) -> None:
        self._announce = announce
        self._spawn = spawn
        self._waiting_max = waiting_max
        # By room; a room has an entry while its task runs.
        self._rooms: dict[int, list[wire.Message]] = {}
        self._waiting = 0
        self._has_room = asyncio.Event()
        self._has_room.set()

    @property
    def is_idle(self) -> bool:
        """Whether nothing is being announced, and nothing waits."""
        return not self._rooms

    async def add(self, messages: Sequence[wire.Message]) -> None:
        """Announce these messages soon. Returns when fewer than `waiting_max` wait."""
        for message in messages:
            if message.room_id not in self._rooms:
                self._rooms[message.room_id] = []
                self._spawn(self._run(message.room_id))
            self._rooms[message.room_id].append(message)
        self._count(len(messages))
        await self._has_room.wait()

    async def _run(self, room_id: int) -> None:
        waiting = self._rooms[room_id]
        try:
            while waiting:
                batch = waiting[:ROOM_BATCH_MAX]
                try:
                    async with asyncio.timeout(ROOM_BATCH_TIMEOUT_S):
                        await self._announce(batch)
                except Exception:
                    logger.exception("Messages of room %s are stored; they are announced later", room_id)
                    # Later messages must not overtake these. The next message of the room announces all that are missing.
                    batch = list(waiting)
                del waiting[: len(batch)]
                self._count(-len(batch))
        finally:
            del self._rooms[room_id]
            self._count(-len(waiting))

    def _count(self, change: int) -> None:
        self._waiting += change
        if self._waiting < self._waiting_max:
            self._has_room.set()
        else:
            self._has_room.clear()
