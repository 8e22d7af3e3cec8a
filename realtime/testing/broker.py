"""A broker in memory for the nodes of a test: the store that they share, and the bus between them.

It keeps the contract of a real one (`realtime.topics.engine.ports`): the store numbers publications for all nodes,
messages of one node arrive in order, and the bus may lose some.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from realtime.core.history import Draft
from realtime.core.topics import Retention, TopicKey
from realtime.topics.engine.carried import Carried, encode_body, encode_carried
from realtime.topics.engine.combined import CombinedEngine
from realtime.topics.engine.memory import MemoryBus, MemoryExchange, MemoryHistory
from realtime.topics.engine.names import group_name
from realtime.topics.engine.ports import Added, Bus, Engine, History


class SharedStore:
    """One node's way to the store of all of them, which goes on when the node ends. It carries what is added."""

    def __init__(self, history: MemoryHistory, bus: MemoryBus) -> None:
        self._history = history
        self._bus = bus

    def __getattr__(self, name: str) -> Any:
        return getattr(self._history, name)

    async def add(self, key: TopicKey, draft: Draft, retention: Retention) -> Added:
        """As `History.add`."""
        added = self._history.add_now(key, draft, retention)
        if added.publication is not None:
            carried = Carried(added.position, encode_body(draft))
            await self._bus.send(group_name(key), encode_carried(carried))
        return added

    async def close(self) -> None:
        """As `History.close`; the store goes on."""


class Broker(MemoryExchange):
    """The parts that nodes of one test share."""

    def __init__(self, history: MemoryHistory | None = None) -> None:
        super().__init__()
        self.history = history or MemoryHistory()
        self._losses = 0

    @property
    def is_losing(self) -> bool:
        """Whether messages between nodes are lost now."""
        return self._losses > 0

    def engine(self) -> tuple[History, Bus, Engine]:
        """Return what one more node uses."""
        bus = MemoryBus(self)
        history = self.store(bus)
        return history, bus, CombinedEngine(history, bus)

    def store(self, bus: MemoryBus) -> History:
        """Return the way to the store of the node that has this bus."""
        store: History = SharedStore(self.history, bus)
        return store

    def carry(self, sender: MemoryBus, receiver: MemoryBus, group: str, body: bytes) -> None:
        """As `MemoryExchange.carry`; messages between nodes may be lost."""
        if sender is receiver or not self.is_losing:
            super().carry(sender, receiver, group, body)

    @contextmanager
    def losing(self, in_loop: Callable[[Callable[[], None]], Any]) -> Iterator[None]:
        """Lose all messages between nodes inside the block. `in_loop` calls a function on the loop of the nodes.

        At its end every node notices that it may have missed some, as over a real broker after its next heartbeat.
        """
        self._losses += 1
        try:
            yield
        finally:
            self._losses -= 1
            in_loop(self._tell_gaps)

    def _tell_gaps(self) -> None:
        for bus in list(self.buses):
            if bus.on_gap is not None and not self.is_losing:
                bus.on_gap(bus.joined())
