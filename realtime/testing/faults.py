"""The faults in a world of `simulate`, and their rates: chosen for the world, then for each call, from its seed."""

import asyncio
from dataclasses import dataclass, fields
from random import Random
from typing import Any

from realtime.core.history import Draft
from realtime.core.topics import Retention, TopicKey
from realtime.testing.broker import Broker, SharedStore
from realtime.topics.engine.memory import MemoryBus, MemoryHistory
from realtime.topics.engine.ports import Added, History

# Chances of a fault. Each is off in some worlds, because it may hide another.
CHANCES = (0.0, 0.0, 0.05, 0.2, 0.5)
# Seconds that a slow call or message takes.
SLOW_S = (0.0, 0.001, 0.01, 0.1, 1.0)


@dataclass(frozen=True, slots=True)
class Faults:
    """The chance of each fault, in a message between nodes, a call of the store or the database; 0 to 1."""

    bus_slow: float = 0.0
    bus_loses: float = 0.0
    bus_doubles: float = 0.0
    store_slow: float = 0.0
    database_slow: float = 0.0
    # Of a follower's connection, once a second.
    cut: float = 0.0


class Dice:
    """Throws for the faults of a world, while they last: not before its nodes have met."""

    def __init__(self, random: Random, faults: Faults) -> None:
        self.random = random
        self.faults = faults
        self.is_on = False

    def falls(self, name: str) -> bool:
        """Return whether this fault happens now."""
        # Thrown also after the faults have ended: a world stays alike otherwise.
        return self.random.random() < getattr(self.faults, name) and self.is_on

    def delay_s(self, name: str) -> float:
        """Return how long a call takes, in seconds."""
        slow_s = self.random.choice(SLOW_S)
        return slow_s if self.falls(name) else 0.0

    async def pause(self, name: str) -> None:
        """Take the time of a call."""
        await asyncio.sleep(self.delay_s(name))


def choose(random: Random) -> Faults:
    """Return the faults of a world."""
    return Faults(**{each.name: random.choice(CHANCES) for each in fields(Faults)})


class SlowStore(SharedStore):
    """A way to the store whose calls take time before and after they act."""

    def __init__(self, history: MemoryHistory, bus: MemoryBus, dice: Dice) -> None:
        super().__init__(history, bus)
        self._dice = dice

    async def add(self, key: TopicKey, draft: Draft, retention: Retention) -> Added:
        """As `History.add`."""
        await self._dice.pause("store_slow")
        added = await super().add(key, draft, retention)
        await self._dice.pause("store_slow")
        return added

    def __getattr__(self, name: str) -> Any:
        found = super().__getattr__(name)
        if not asyncio.iscoroutinefunction(found):
            return found

        async def call(*args: Any, **kwargs: Any) -> Any:
            await self._dice.pause("store_slow")
            result = await found(*args, **kwargs)
            await self._dice.pause("store_slow")
            return result

        return call


class FaultyBroker(Broker):
    """A broker whose bus loses, delays and doubles messages. Those of one node to another keep their order."""

    def __init__(self, dice: Dice, history: MemoryHistory) -> None:
        super().__init__(history)
        self._dice = dice
        self._arrives_s: dict[tuple[MemoryBus, MemoryBus], float] = {}

    def store(self, bus: MemoryBus) -> History:
        """As `Broker.store`."""
        store: History = SlowStore(self.history, bus, self._dice)
        return store

    def carry(self, sender: MemoryBus, receiver: MemoryBus, group: str, body: bytes) -> None:
        """As `Broker.carry`."""
        dice, loop, way = self._dice, asyncio.get_running_loop(), (sender, receiver)
        if sender is receiver:
            super().carry(sender, receiver, group, body)
            return
        delay_s = dice.delay_s("bus_slow")
        is_lost, is_doubled = dice.falls("bus_loses"), dice.falls("bus_doubles")
        if is_lost or self.is_losing:
            return
        at_s = self._arrives_s[way] = max(loop.time() + delay_s, self._arrives_s.get(way, 0.0))
        for _ in range(2 if is_doubled else 1):
            loop.call_at(at_s, receiver.deliver, group, body)
