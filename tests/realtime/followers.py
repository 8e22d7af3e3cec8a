"""Connections as the hub sees them, and a node's worth of hub, joiner and engine that can be stopped at any await."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import msgspec

from realtime.core.history import Draft
from realtime.core.identity import CredentialKind, Identity, Tenant
from realtime.core.position import Position
from realtime.core.slots import Owner
from realtime.core.topics import Retention, TopicKey, TopicRule, TopicRules
from realtime.node.joining import Joined, Joiner, JoinRequest
from realtime.protocol.errors import RequestError
from realtime.sockets.outbox import PreparedBatch, PreparedMessage, WriteCoalescer
from realtime.sockets.subscription import TOLD_AT_ONCE, Subscription
from realtime.topics.engine.combined import CombinedEngine
from realtime.topics.engine.drafts import make_draft
from realtime.topics.engine.memory import MemoryBus, MemoryHistory
from realtime.topics.engine.ports import Ask, EngineUnavailableError, Page, Published
from realtime.topics.hub import Hub

ACME = Tenant(1, "acme")
KEY = TopicKey("acme", "news")
KEPT = Retention()
MAX_SUBSCRIPTIONS = 100


def identity(user_id: int = 1, scopes: Sequence[str] = ("chat:read",)) -> Identity:
    """A member of acme."""
    return Identity(
        user_id=user_id,
        username=f"user{user_id}",
        tenant="acme",
        scopes=frozenset(scopes),
        kind=CredentialKind.TOKEN,
    )


@dataclass(eq=False)
class Follower:
    """A connection, as hub and joiner see it, that remembers what it was given."""

    tenant: Tenant = ACME
    identity: Identity | None = field(default_factory=identity)
    id: str = "c"
    address: str = "192.0.2.1"
    is_closing: bool = False
    direct: None = None
    form: None = None
    subscriptions: dict[str, Subscription] = field(default_factory=dict)
    metrics: Any = field(default_factory=lambda: SimpleNamespace(subscriptions=0))
    got: list[dict[str, Any]] = field(default_factory=list)
    pushed: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    @property
    def outbox(self) -> "Follower":
        return self

    def put(self, item: PreparedMessage | PreparedBatch) -> None:
        frames = item.frames if isinstance(item, PreparedBatch) else [item]
        self.got += [msgspec.json.decode(frame.payload)["payload"] for frame in frames]

    def push(self, message_type: str, payload: dict[str, Any]) -> None:
        self.pushed.append((message_type, payload))

    def close(self, code: int) -> None:
        self.is_closing = True
        for subscription in list(self.subscriptions.values()):
            subscription.owner.end(subscription, at_once=code in TOLD_AT_ONCE)

    @property
    def offsets(self) -> list[int]:
        return [each["offset"] for each in self.got]


class StoppableEngine(CombinedEngine):
    """Waits at the await that is named in `stop_at` until `go` is set; `is_away`: no call is answered."""

    def __init__(self, history: MemoryHistory, bus: MemoryBus) -> None:
        super().__init__(history, bus)
        self.stop_at = ""
        self.reached = asyncio.Event()
        self.go = asyncio.Event()
        self.is_away = False
        self.calls: list[str] = []

    def lose_history(self) -> None:
        """The store restarts with nothing in it."""
        self._history = MemoryHistory()

    async def halt(self, point: str) -> None:
        self.calls.append(point)
        if point == self.stop_at:
            self.reached.set()
            await self.go.wait()
        if self.is_away and point != "gate":
            raise EngineUnavailableError("away")

    async def attach(self, key: TopicKey) -> None:
        self.calls.append("attach")
        if self.stop_at == "attach":
            self.reached.set()
            await self.go.wait()
        await super().attach(key)

    async def publish(self, key: TopicKey, draft: Draft, retention: Retention) -> Published:
        published = await super().publish(key, draft, retention)
        if self.stop_at == "published":
            await self.halt("published")
        return published

    async def pages(self, asks: Sequence[Ask]) -> list[Page]:
        pages = await super().pages(asks)
        # Answered late: the answer was true when it was made.
        await self.halt("open" if "open" not in self.calls else "read")
        return pages

    async def positions(self, keys: Sequence[TopicKey]) -> list[Position]:
        await self.halt("positions")
        return await super().positions(keys)


@dataclass
class Presences:
    """Who is told of beginnings and ends: it counts."""

    live: list[Subscription] = field(default_factory=list)
    ended: list[tuple[Subscription, bool]] = field(default_factory=list)
    list_bytes: int = 0

    def began(self, subscription: Subscription) -> None:
        if subscription not in self.live:
            self.live.append(subscription)

    def ended_(self, subscription: Subscription, at_once: bool) -> None:
        self.live.remove(subscription)
        self.ended.append((subscription, at_once))


class _Listener:
    def __init__(self, presences: Presences) -> None:
        self._presences = presences

    def began(self, subscription: Subscription) -> None:
        self._presences.began(subscription)

    def ended(self, subscription: Subscription, *, at_once: bool) -> None:
        self._presences.ended_(subscription, at_once)

    def list_bytes(self, subscription: Subscription) -> int:
        return self._presences.list_bytes


class GateKeeper:
    """The database, as the joiner sees it: what waits for a thread may be stopped there."""

    def __init__(self, engine: StoppableEngine) -> None:
        self._engine = engine
        self.members = {1, 2, 3}
        self.asked = 0

    async def run_for(self, owner: Owner, work: Callable[..., Any], *args: Any) -> Any:
        self.asked += 1
        answer = work(*args)
        await self._engine.halt("gate")
        return answer

    def is_member(self, who: Identity | None, topic: str) -> bool:
        return who is not None and who.user_id in self.members


def may_read(who: Identity | None, topic: str) -> bool:
    return who is not None and "chat:read" in who.scopes


class Node:
    """A hub with all it stands on."""

    def __init__(self, *, gap_wait_s: float = 0) -> None:
        self.engine = StoppableEngine(MemoryHistory(), MemoryBus())
        self.presences = Presences()
        self.tasks: set[asyncio.Task[None]] = set()
        self.hub = Hub(
            self.engine, self.spawn, _Listener(self.presences), WriteCoalescer(), gap_wait_s=gap_wait_s
        )
        self.engine.arrived = self.hub.arrived
        self.database = GateKeeper(self.engine)
        rules = TopicRules(
            {
                "": TopicRule(),
                "room": TopicRule(subscribe=may_read, subscribe_in_db=self.database.is_member),
                "typing": TopicRule(history_size=0),
            }
        )
        self.joiner = Joiner(self.hub, rules, self.database, MAX_SUBSCRIPTIONS)  # type: ignore[arg-type] # a fake

    def spawn(self, work: Any) -> "asyncio.Task[None]":
        task = asyncio.get_running_loop().create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return task

    async def ask(
        self, follower: Follower, topic: str = "news", since: Position | None = None
    ) -> Joined | RequestError:
        [outcome] = await self.joiner.join(follower, [JoinRequest(topic, since, False)])  # type: ignore[arg-type] # a fake
        return outcome

    async def join(self, follower: Follower, topic: str = "news", since: Position | None = None) -> Joined:
        outcome = await self.ask(follower, topic, since)
        assert isinstance(outcome, Joined), outcome
        return outcome

    async def publish(self, data: int | str, topic: str = "news") -> Position:
        retention = Retention(0) if topic.startswith("typing") else KEPT
        return await self.hub.publish(TopicKey("acme", topic), draft(data), retention)

    def assert_nothing_left(self, *followers: Follower) -> None:
        """No topic, subscription, count, presence or task of theirs is left."""
        assert self.hub.topics() == []
        assert self.presences.live == []
        assert not self.tasks
        for follower in followers:
            assert follower.subscriptions == {}
            assert follower.metrics.subscriptions == 0


def draft(data: int | str) -> Draft:
    return make_draft("news", data, time="2026-01-01T00:00:00Z")


def offsets_of(joined: Joined) -> list[int] | None:
    if joined.payloads is None:
        return None
    return [msgspec.json.decode(payload)["offset"] for payload in joined.payloads]


async def settle() -> None:
    for _ in range(30):
        await asyncio.sleep(0)


async def until(condition: Callable[[], Any]) -> None:
    """Wait until it is true; for fakes, which tell nobody."""
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 a fake has nothing to wait for
            await asyncio.sleep(0.002)
