"""The outside of the nodes: one store, one broker and one database for all of them, each of them faulty.

The store is the project's own memory history behind an unreliable line, or the one of `replicas`. The broker keeps the
order of what one node sends to another, as the port promises, and nothing else.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from typing import Any

import msgspec

from realtime.core.topics import TopicKey
from realtime.node.turns import SlotQueue
from realtime.protocol.errors import ErrorCode, RequestError
from realtime.topics.engine.carried import Carried, encode_body, encode_carried
from realtime.topics.engine.memory import MemoryHistory
from realtime.topics.engine.names import group_name
from realtime.topics.engine.ports import BusUnavailableError, EngineUnavailableError, OnMessage
from tests.engine.model import ModelHistory
from tests.simulation.determinism import CLOCK
from tests.simulation.faults import Dice
from tests.simulation.record import Begun, Key, Record, Stored

# The name of the session whose request is under way, in the tasks of it.
SESSION: ContextVar[str | None] = ContextVar("session", default=None)
# How long a call to something that is away waits before it gives up, in seconds.
GIVE_UP_S = 0.5
WhenWaiting = Callable[[str, str], None]
WhenDelivering = Callable[[str, list[str]], None]
Newest = dict[Key, Stored]


class Line:
    """What a node's calls to the outside go through. `is_cut`: the node is dead, and nothing passes any more.

    `when_waiting` is called with the session and the place at every await of a request.
    """

    def __init__(self, node: str, dice: Dice, record: Record, when_waiting: WhenWaiting) -> None:
        self.node = node
        self.dice = dice
        self.record = record
        self.is_cut = False
        self._when_waiting = when_waiting

    async def wait(self, place: str, slow: str) -> None:
        """Take the time of a call, during which anything may happen."""
        if self.is_cut:
            return
        session = SESSION.get()
        if session is not None and self.dice.falls("ambush"):
            self._when_waiting(session, place)
        delay_s = self.dice.delay_s(slow)
        if delay_s is not None:
            await asyncio.sleep(delay_s)


class Store(ABC):
    """The history that all nodes share. `outage_until_s`: until then nobody reaches it."""

    def __init__(self, record: Record) -> None:
        self.outage_until_s = 0.0
        self._record = record

    @abstractmethod
    def lose_everything(self) -> None:
        """It comes up empty."""

    @abstractmethod
    def history(self, node: str = "") -> MemoryHistory | ModelHistory | None:
        """Return the history that `node` calls, by default the current one; None if it does not answer."""

    @abstractmethod
    def newest(self, node: str) -> Newest:
        """The newest publication of each topic there; kept by `remember`."""

    def moves(self, node: str) -> bool:
        """A node looks whether its topics are at another server now, and goes there."""
        return False

    def are_together(self, one: str, other: str) -> bool:
        """Whether two nodes are at the same server: otherwise neither hears what the other publishes."""
        return True

    async def position(self, key: Key) -> Stored:
        """Where a topic is, for the judge."""
        history = self.history()
        assert history is not None
        position = await history.position(TopicKey(*key))
        return Stored(position.epoch, position.offset)

    def remember(self, node: str, key: Key, draft: Any, added: Any) -> None:
        """For the judge: what is stored, and what was the newest before."""
        if added.publication is None:
            return
        at = Stored(added.position.epoch, added.publication.offset)
        newest = self.newest(node)
        self._record.truth.setdefault(key, {})[at] = msgspec.json.decode(draft.data)
        begun = self._record.begun.setdefault(key, {})
        begun.setdefault(at.epoch, Begun(at.offset, newest.get(key)))
        newest[key] = at


class MemoryStore(Store):
    """The project's own history in memory."""

    def __init__(self, record: Record) -> None:
        super().__init__(record)
        self.lose_everything()

    def lose_everything(self) -> None:
        """As `Store.lose_everything`."""
        self._memory = MemoryHistory(clock=CLOCK.monotonic)
        self._newest: Newest = {}

    def history(self, node: str = "") -> MemoryHistory:
        """As `Store.history`."""
        return self._memory

    def newest(self, node: str) -> Newest:
        """As `Store.newest`."""
        return self._newest


class FaultyHistory:
    """A node's way to the store: every method of the port, slow and failing before or after it acted.

    A publication is carried over the bus when it is added, unless the bus is away or mute.
    """

    def __init__(self, line: Line, store: Store, bus: "FaultyBus") -> None:
        self._line = line
        self._store = store
        self._bus = bus

    def __getattr__(self, name: str) -> Any:
        if not hasattr(MemoryHistory, name):
            raise AttributeError(name)

        async def call(*args: Any, **kwargs: Any) -> Any:
            return await self._call(name, args, kwargs)

        return call

    def sweep(self, now_s: float) -> None:
        """As `History.sweep`."""
        if (history := self._store.history(self._line.node)) is not None:
            history.sweep(now_s)

    async def close(self) -> None:
        """The store goes on."""

    async def _call(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        line, dice = self._line, self._line.dice
        await line.wait(f"{name} before", "store_slow")
        if line.is_cut:
            raise EngineUnavailableError("this node is dead")
        if self._is_away() or dice.falls("store_fails_before"):
            await asyncio.sleep(GIVE_UP_S)
            raise EngineUnavailableError(f"{name}: injected, before it acted")
        result = await self._ask(name, args, kwargs)
        if name == "add":
            self._store.remember(line.node, tuple(args[0]), args[1], result)
            if result.publication is not None:
                carried = Carried(result.position, encode_body(args[1]))
                self._bus.spread(group_name(args[0]), encode_carried(carried))
        await line.wait(f"{name} after", "store_slow")
        if dice.falls("store_fails_after"):
            raise EngineUnavailableError(f"{name}: injected, after it acted")
        return result

    async def _ask(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        result = await getattr(self._store.history(self._line.node), name)(*args, **kwargs)
        # As `RedisHistory.pages`: nobody loads again because a node is at an old primary.
        is_told = name == "pages" and any(page.publications is None for page in result)
        if is_told and self._store.moves(self._line.node):
            result = await getattr(self._store.history(self._line.node), name)(*args, **kwargs)
        return result

    def _is_away(self) -> bool:
        return CLOCK.now_s < self._store.outage_until_s or self._store.history(self._line.node) is None


class Broker:
    """Carries between the buses. `outage_until_s`: until then nobody reaches it.

    `are_together` says of two nodes whether they are at the same server.
    """

    def __init__(self, are_together: Callable[[str, str], bool]) -> None:
        self.are_together = are_together
        self.buses: list[FaultyBus] = []
        self.outage_until_s = 0.0


class FaultyBus:
    """A node's bus: loses, delays, doubles; deaf until `deaf_until_s`, mute until `mute_until_s`.

    `after_delivery` is called with every message once the node has taken it in.
    """

    is_open = True

    def __init__(self, line: Line, broker: Broker, after_delivery: Callable[[str, bytes], None]) -> None:
        self.on_gap: Callable[[Sequence[str]], None] | None = None
        self.groups: set[str] = set()
        self.deaf_until_s = 0.0
        self.mute_until_s = 0.0
        self._line = line
        self._broker = broker
        self._after_delivery = after_delivery
        self._on_message: OnMessage | None = None
        self._turns: dict[str, asyncio.Lock] = {}
        # The context of the node; set by it.
        self.context: Any = None
        # When the last message of each sender arrives: the next comes no earlier.
        self._arrival_s: dict[str, float] = {}

    async def start(self, on_message: OnMessage) -> None:
        """As `Bus.start`."""
        self._on_message = on_message
        self._broker.buses.append(self)

    async def stop(self) -> None:
        """As `Bus.stop`."""
        self._on_message = None
        self.groups.clear()
        if self in self._broker.buses:
            self._broker.buses.remove(self)

    async def join(self, group: str) -> None:
        """As `Bus.join`: while the broker is away it returns soon, and takes effect later."""
        async with self._turn(group):
            await self._line.wait("join before", "bus_slow")
            if not self._line.is_cut:
                self.groups.add(group)
                await self._line.wait("join after", "bus_slow")

    async def leave(self, group: str) -> None:
        """As `Bus.leave`."""
        async with self._turn(group):
            await self._line.wait("leave before", "bus_slow")
            if not self._line.is_cut:
                self.groups.discard(group)
                await self._line.wait("leave after", "bus_slow")

    async def send(self, group: str, body: bytes, *, to_self: bool = False) -> None:
        """As `Bus.send`."""
        line = self._line
        await line.wait("send before", "bus_slow")
        if line.is_cut:
            return
        if CLOCK.now_s < self._broker.outage_until_s or line.dice.falls("bus_away"):
            raise BusUnavailableError("injected")
        self.spread(group, body, to_self=to_self)
        await line.wait("send after", "bus_slow")

    def spread(self, group: str, body: bytes, *, to_self: bool = False) -> None:
        """Carry to all members of the group, unless the broker is away or this node is mute."""
        if CLOCK.now_s < max(self.mute_until_s, self._broker.outage_until_s):
            return
        for bus in self._broker.buses:
            if group in bus.groups and (to_self or bus is not self) and self._is_with(bus):
                bus.carry(self._line.node, group, body)

    def _is_with(self, other: "FaultyBus") -> bool:
        return self._broker.are_together(self._line.node, other._line.node)

    def carry(self, sender: str, group: str, body: bytes) -> None:
        """It is under way to this node."""
        dice = self._line.dice
        if dice.falls("bus_loses"):
            return
        loop = asyncio.get_running_loop()
        at_s = max(CLOCK.now_s + (dice.delay_s("bus_slow") or 0.0), self._arrival_s.get(sender, 0.0))
        self._arrival_s[sender] = at_s
        loop.call_at(at_s, self._deliver, group, body, context=self.context)
        if dice.falls("bus_doubles"):
            loop.call_at(
                at_s + dice.rng.choice((0.0, 0.01, 1.0)), self._deliver, group, body, context=self.context
            )

    def _turn(self, group: str) -> asyncio.Lock:
        """As in the project's bus, joining and leaving one group happen in the order they were asked for."""
        return self._turns.setdefault(group, asyncio.Lock())

    def _deliver(self, group: str, body: bytes) -> None:
        is_deaf = CLOCK.now_s < self.deaf_until_s
        if self._line.is_cut or is_deaf or self._on_message is None or group not in self.groups:
            return
        self._on_message(group, body)
        self._after_delivery(group, body)


class FaultyDatabase:
    """The port `Database.run`: the work happens at one moment of a call that takes time before and after it."""

    def __init__(self, line: Line) -> None:
        self._line = line
        # Nobody waits for a turn here.
        self.slots = SlotQueue(1, busy="")

    async def run(self, work: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """As `Database.run`."""
        return await self.run_for(None, work, *args, **kwargs)

    async def run_for(self, owner: Any, work: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """As `Database.run_for`."""
        line = self._line
        await line.wait("database before", "database_slow")
        if line.dice.falls("database_fails"):
            raise RequestError(ErrorCode.TIMEOUT, "injected: the database is busy")
        result = work(*args, **kwargs)
        await line.wait("database after", "database_slow")
        return result

    async def close(self) -> None:
        """As `Database.close`."""
