"""Control messages: messages from node to node that are not publications, such as revoked rights."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

import msgspec

from realtime.core.identity import UserId
from realtime.topics.engine.ports import Bus, BusUnavailableError

logger = logging.getLogger(__name__)

Spawn = Callable[[Coroutine[Any, Any, None]], "asyncio.Task[None]"]
# Messages that wait for the broker to return. Above this many the oldest is dropped and an error is logged.
MAX_WAITING = 10_000
RETRY_MIN_S = 0.1
RETRY_MAX_S = 2.0
# The groups of the bus that carry them.
CONTROL_GROUP = "control"
REVOCATIONS_GROUP = "revocations"
RECHECKS_GROUP = "rechecks"
OUTBOX_GROUP = "outbox"


class EndSubscriptions(msgspec.Struct, array_like=True, frozen=True):
    """Sent to every node: a user may no longer follow a topic."""

    tenant: str
    topic: str
    user_id: UserId


class Recheck(msgspec.Struct, array_like=True, frozen=True):
    """Sent to every node: ask again about the connections of a user; None stands for all users."""

    user_id: UserId | None


class Control:
    """Sends control messages to the other nodes, in order. A message that cannot be sent waits until the
    broker is back, because the other nodes have no other way to learn of it. `handlers` maps each bus group
    to the function that handles its messages."""

    def __init__(self, bus: Bus, spawn: Spawn, handlers: Mapping[str, Callable[[bytes], None]]) -> None:
        self._bus = bus
        self._spawn = spawn
        self._handlers = handlers
        self._waiting: deque[tuple[str, bytes]] = deque()
        # Whether messages wait, or one that waited is being sent: a new one goes behind them.
        self._is_behind = False

    async def start(self) -> None:
        """Receive control messages from now on."""
        # Side by side: a broker that does not confirm them takes the time of one.
        await asyncio.gather(*map(self._bus.join, self._handlers))

    def is_own_group(self, group: str) -> bool:
        """Return whether messages to this bus group are for `on_message`."""
        return group in self._handlers

    def on_message(self, group: str, body: bytes) -> None:
        """Handle a message that the bus carried."""
        self._handlers[group](body)

    async def tell(self, group: str, body: bytes) -> bool:
        """Send `body` to every other node, now or as soon as possible; never fails. False: it has to wait."""
        if not self._is_behind and await self._sent(group, body):
            return True
        if len(self._waiting) >= MAX_WAITING:
            self._waiting.popleft()
            logger.error(
                "Too many messages wait for the broker; the oldest was dropped and will not reach the other nodes"
            )
        self._waiting.append((group, body))
        if not self._is_behind:
            self._is_behind = True
            logger.warning("The broker cannot be reached; the other nodes are told when it is back")
            self._spawn(self._send_later())
        return False

    async def _send_later(self) -> None:
        retry_s = RETRY_MIN_S
        while self._waiting:
            # Taken out while it is sent: what is too much is dropped meanwhile from the others.
            message = self._waiting.popleft()
            if await self._sent(*message):
                retry_s = RETRY_MIN_S
            else:
                self._waiting.appendleft(message)
                await asyncio.sleep(retry_s)
                retry_s = min(retry_s * 2, RETRY_MAX_S)
        self._is_behind = False

    async def _sent(self, group: str, body: bytes) -> bool:
        try:
            await self._bus.send(group, body)
        except BusUnavailableError:
            return False
        return True
