"""An engine made of two parts: a history that stores and sends publications, and a bus that brings those of others."""

import logging
from collections.abc import Callable, Iterable, Sequence

from realtime.core.history import Draft
from realtime.core.position import Position
from realtime.core.topics import Retention, TopicKey
from realtime.protocol.codec import encode_bytes
from realtime.topics.engine.carried import decode_carried, payload_of
from realtime.topics.engine.names import group_name
from realtime.topics.engine.ports import Arrival, Ask, Bus, History, Page, Published

logger = logging.getLogger(__name__)


class CombinedEngine:
    """Implements `Engine` for nodes that share a broker."""

    def __init__(self, history: History, bus: Bus) -> None:
        self._history = history
        self._bus = bus
        self.arrived: Callable[[Arrival], None] | None = None
        # The bus groups of the attached topics.
        self._keys: dict[str, TopicKey] = {}

    def publish_now(self, key: TopicKey, draft: Draft, retention: Retention) -> None:
        """As `Engine.publish_now`: the store is elsewhere, so this always returns None."""

    async def publish(self, key: TopicKey, draft: Draft, retention: Retention) -> Published:
        """As `Engine.publish`: the history carries it with the same call."""
        added = await self._history.add(key, draft, retention)
        publication = added.publication
        payload = None if publication is None else encode_bytes(publication)
        return Published(added.position, payload)

    async def pages(self, asks: Sequence[Ask]) -> list[Page]:
        """As `Engine.pages`."""
        return await self._history.pages(asks)

    async def positions(self, keys: Sequence[TopicKey]) -> list[Position]:
        """As `Engine.positions`."""
        return await self._history.positions(keys)

    async def attach(self, key: TopicKey) -> None:
        """As `Engine.attach`."""
        group = group_name(key)
        self._keys[group] = key
        await self._bus.join(group)

    async def detach(self, key: TopicKey) -> None:
        """As `Engine.detach`."""
        group = group_name(key)
        self._keys.pop(group, None)
        await self._bus.leave(group)

    def attached(self, groups: Iterable[str]) -> list[TopicKey]:
        """As `Engine.attached`."""
        return [self._keys[group] for group in groups if group in self._keys]

    def on_message(self, group: str, body: bytes) -> None:
        """As `Engine.on_message`; messages for topics that are not attached are dropped."""
        key = self._keys.get(group)
        if key is None or self.arrived is None:
            return
        carried = decode_carried(body)
        if carried is None:
            logger.warning("A message that is not a publication came over the bus and was dropped")
            return
        position = carried.position
        self.arrived(Arrival(key, position, payload_of(key.topic, position.offset, carried.body)))
