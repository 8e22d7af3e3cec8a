"""Presence of a process on a real loop: one push for a moment's changes, one encoding for all, turns for others."""

import asyncio
import gc
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from time import process_time
from typing import Any, cast
from uuid import UUID

import msgspec
import pytest

from realtime.core import presence_table as core
from realtime.core import watchers
from realtime.core.figures import Figures
from realtime.core.identity import CredentialKind, Identity, Tenant
from realtime.core.topics import TopicKey, TopicRule
from realtime.sockets.connection import Connection
from realtime.sockets.outbox import PreparedBatch, PreparedMessage, WriteCoalescer
from realtime.sockets.subscription import Subscription, SubscriptionOwner
from realtime.topics import presence as presence_module
from realtime.topics.cluster import Cluster
from realtime.topics.engine.memory import MemoryBus, MemoryExchange
from realtime.topics.presence import PUSH_GATHER_S, Presence
from tests.slowness import slowness

ACME = Tenant(1, "acme")
KEY = ("acme", "news")
TOKEN = CredentialKind.TOKEN
RULE = TopicRule()
OWNER = cast("SubscriptionOwner", None)


@dataclass(frozen=True)
class Someone:
    """As much of an identity as presence looks at."""

    user_id: int
    username: str


@dataclass(eq=False)
class Socket:
    """A connection and its outbox, as presence sees them, that remembers what it was given."""

    identity: Someone | None = None
    tenant: Tenant = ACME
    direct: None = None
    form: None = None
    frames: list[PreparedMessage] = field(default_factory=list)

    @property
    def outbox(self) -> "Socket":
        return self

    def put(self, item: PreparedMessage | PreparedBatch) -> None:
        assert isinstance(item, PreparedMessage)
        self.frames.append(item)

    @property
    def pushed(self) -> list[dict[str, Any]]:
        messages = [msgspec.json.decode(frame.payload) for frame in self.frames]
        assert all(message["type"] == "presence" for message in messages)
        return [message["payload"] for message in messages]


class Node:
    """One process: its cluster and its presence."""

    def __init__(self, name: str, exchange: MemoryExchange) -> None:
        self.bus = MemoryBus(exchange)
        self.cluster = Cluster(name, self.bus, started="", figures=Figures, on_presence=self._changed)
        self.presence = Presence(self.cluster, WriteCoalescer())

    async def start(self) -> None:
        await self.bus.start(lambda _, body: self.cluster.on_message(body))
        await self.cluster.start()

    async def stop(self) -> None:
        self.presence.stop()
        await self.cluster.stop()
        await self.bus.stop()

    def _changed(self, key: core.Key) -> None:
        self.presence.changed(key)

    def subscribe(self, socket: Socket, *, watches: bool = False) -> Subscription:
        connection = cast("Connection", socket)
        key = TopicKey(*KEY)
        subscription = Subscription(connection, key, RULE, OWNER, wants_presence=watches)
        self.presence.began(subscription)
        return subscription

    def view(self, socket: Socket) -> dict[str, Any]:
        return self.presence.view(cast("Connection", socket), KEY[1])

    @property
    def is_empty(self) -> bool:
        return self.presence.is_empty and self.cluster.holds_nobody


@pytest.fixture
async def pair() -> AsyncIterator[tuple[Node, Node]]:
    exchange = MemoryExchange()
    nodes = (Node("one", exchange), Node("two", exchange))
    for node in nodes:
        await node.start()
    yield nodes
    for node in nodes:
        await node.stop()


@pytest.fixture
async def node(pair: tuple[Node, Node]) -> Node:
    return pair[0]


def person(number: int) -> Socket:
    return Socket(Someone(number, f"u{number:04}"))


def names(users: list[dict[str, Any]]) -> list[str]:
    return [user["username"] for user in users]


async def ticks(count: float = 1.5) -> None:
    await asyncio.sleep(PUSH_GATHER_S * count)


async def becomes(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not is_so():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_changes_of_a_moment_come_in_one_push_encoded_once(node: Node) -> None:
    watching = [person(number) for number in range(3)]
    for socket in watching:
        node.subscribe(socket, watches=True)
    # Slices of a push may be far apart on a busy machine.
    await becomes(lambda: [len(socket.frames) for socket in watching] == [1, 1, 0])
    for number in range(10, 60):
        node.subscribe(person(number))
    await becomes(lambda: [len(socket.frames) for socket in watching] == [2, 2, 1])
    assert len({id(socket.frames[-1]) for socket in watching}) == 1
    (push,) = watching[2].pushed
    assert push.keys() == {"topic", "joined", "left"}
    assert push["topic"] == KEY[1]
    assert names(push["joined"]) == [f"u{number:04}" for number in range(10, 60)]


@pytest.mark.parametrize("username", ["a", "é👋" * 40])
async def test_the_size_of_a_list_is_known_before_it_is_made(node: Node, username: str) -> None:
    for number in range(watchers.LIST_MAX_USERS):
        node.subscribe(Socket(Someone(10**9 + number, f"{username}{number}")))
    named = node.subscribe(person(10**9), watches=True)
    written = len(msgspec.json.encode(node.view(cast("Socket", named.connection))))
    assert written <= node.presence.list_bytes(named) <= 2 * written
    assert node.presence.list_bytes(node.subscribe(Socket(), watches=True)) == 0
    node.subscribe(person(2))
    assert node.presence.list_bytes(named) == 0


async def test_a_thousand_toggles_are_a_few_pushes(node: Node) -> None:
    watching = [person(number) for number in range(50)]
    strangers = [Socket() for _ in range(50)]
    for socket in watching + strangers:
        node.subscribe(socket, watches=True)
    await ticks()
    before = sum(len(socket.frames) for socket in watching + strangers)
    loop = asyncio.get_running_loop()
    began_s = loop.time()
    for number in range(1001):
        subscription = node.subscribe(person(99))
        if number < 1000:
            node.presence.ended(subscription, at_once=True)
        await asyncio.sleep(0)
    took_s = loop.time() - began_s
    await ticks()
    pushes = sum(len(socket.frames) for socket in watching + strangers) - before
    assert pushes <= 100 * (took_s / PUSH_GATHER_S + 2)
    assert names(watching[0].pushed[-1]["joined"]) == ["u0099"]


async def test_who_left_and_came_back_in_a_moment_was_not_away(node: Node) -> None:
    watcher, other = person(1), person(2)
    node.subscribe(watcher, watches=True)
    left = node.subscribe(other)
    await ticks()
    node.presence.ended(left, at_once=True)
    node.subscribe(other)
    await ticks()
    assert len(watcher.frames) == 1


async def test_a_reply_and_the_pushes_after_it_give_the_truth(node: Node) -> None:
    """Each new watcher sees a list of its own, and every push leads on from there."""
    sockets = [person(number) for number in range(40)]
    known: list[set[str]] = []
    for socket in sockets:
        subscription = node.subscribe(socket, watches=True)
        known.append(set(names(node.view(socket)["users"])))
        if socket.identity is not None and socket.identity.user_id % 7 == 0:
            node.presence.ended(subscription, at_once=True)
    await ticks()
    truth = set(names(node.view(sockets[1])["users"]))
    for socket, users in zip(sockets, known, strict=True):
        for push in socket.pushed:
            assert not users & set(names(push["joined"]))
            assert users >= set(names(push["left"]))
            users |= set(names(push["joined"]))
            users -= set(names(push["left"]))
        assert users == truth or socket.identity.user_id % 7 == 0  # type: ignore[union-attr]


async def test_strangers_see_a_count_only(node: Node) -> None:
    stranger = Socket()
    node.subscribe(stranger, watches=True)
    node.subscribe(person(1))
    assert node.view(stranger) == {"users": [], "count": 1}
    node.subscribe(person(2))
    await becomes(lambda: bool(stranger.frames))
    node.subscribe(person(3))
    await ticks()
    assert stranger.pushed == [{"topic": "news", "count": 2}]
    await becomes(lambda: len(stranger.frames) == 2)
    assert stranger.pushed[-1] == {"topic": "news", "count": 3}


async def test_above_two_hundred_users_there_are_counts_and_below_lists_again(node: Node) -> None:
    assert watchers.LIST_MAX_USERS == 200
    watcher = person(0)
    node.subscribe(watcher, watches=True)
    others = [node.subscribe(person(number)) for number in range(1, 200)]
    assert len(node.view(watcher)["users"]) == node.view(watcher)["count"] == 200
    await ticks()
    assert len(watcher.pushed[-1]["joined"]) == 199
    others.append(node.subscribe(person(200)))
    assert node.view(watcher) == {"users": [], "count": 201}
    late = person(200)
    node.subscribe(late, watches=True)
    assert node.view(late) == {"users": [], "count": 201}
    await ticks()
    assert watcher.pushed[-1] == {"topic": "news", "count": 201}
    for subscription in others[50:]:
        node.presence.ended(subscription, at_once=True)
    assert len(node.view(watcher)["users"]) == 52
    await becomes(lambda: "joined" in watcher.pushed[-1] and "joined" in (late.pushed or [{}])[-1])
    for socket in (watcher, late):
        assert len(socket.pushed[-1]["joined"]) == 52
        assert len(socket.pushed[-1]["left"]) == 149


async def test_an_identity_renewed_meanwhile_leaves_as_who_it_began(node: Node) -> None:
    socket = person(1)
    subscription = node.subscribe(socket)
    node.presence.began(subscription)
    assert node.view(person(2))["users"] == [{"id": 1, "username": "u0001", "connections": 1}]
    socket.identity = Someone(1, "renamed")
    node.presence.ended(subscription, at_once=True)
    node.presence.ended(subscription, at_once=True)
    assert node.is_empty


async def test_the_last_request_decides_about_pushes(node: Node) -> None:
    watcher, late = person(1), person(2)
    watching, not_yet = node.subscribe(watcher, watches=True), node.subscribe(late)
    await ticks()
    watching.wants_presence, not_yet.wants_presence = False, True
    for subscription in (watching, not_yet):
        node.presence.began(subscription)
    node.subscribe(person(3))
    await ticks()
    assert [names(push["joined"]) for push in watcher.pushed] == [["u0002"]]
    assert [names(push["joined"]) for push in late.pushed] == [["u0003"]]


async def test_a_reload_is_told_to_nobody_also_on_another_node(pair: tuple[Node, Node]) -> None:
    one, two = pair
    watcher, other = person(1), person(2)
    one.subscribe(watcher, watches=True)
    first = two.subscribe(other)
    await becomes(lambda: len(watcher.frames) == 1)
    two.presence.ended(first, at_once=False)
    await becomes(lambda: one.view(watcher)["users"][1]["connections"] == 0)
    one.subscribe(other)
    await ticks(3)
    assert len(watcher.frames) == 1
    assert one.view(watcher)["users"][1]["connections"] == 1


async def test_a_removal_is_told_at_once_also_in_the_grace(node: Node) -> None:
    watcher, other = person(1), person(2)
    node.subscribe(watcher, watches=True)
    node.presence.ended(node.subscribe(other), at_once=False)
    await ticks()
    assert names(watcher.pushed[-1]["joined"]) == ["u0002"]
    node.presence.removed("acme", "news", 2)
    await ticks()
    assert names(watcher.pushed[-1]["left"]) == ["u0002"]


async def test_when_all_is_over_nothing_is_kept(
    pair: tuple[Node, Node], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(core, "PRESENCE_GRACE_S", 0.1)
    subscriptions = [
        (node, node.subscribe(person(number), watches=number % 2 == 0))
        for node in pair
        for number in range(300)
    ]
    subscriptions += [(node, node.subscribe(Socket(), watches=True)) for node in pair]
    await ticks()
    assert not pair[0].is_empty
    for number, (node, subscription) in enumerate(subscriptions):
        node.presence.ended(subscription, at_once=number % 3 == 0)
    await becomes(lambda: all(node.is_empty for node in pair))


async def test_pushes_on_their_way_are_not_overtaken(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """A delivery that takes longer than the ticks after it: each push leads on from the one before."""
    monkeypatch.setattr(presence_module, "PUSH_GATHER_S", 0.001)
    monkeypatch.setattr("realtime.topics.fanout.SLICE_S", 0.0)
    sockets = [person(number % 150) for number in range(3000)]
    first = [node.subscribe(socket, watches=True) for socket in sockets]
    await becomes(lambda: not node.presence._due)
    for subscription in first:
        node.presence.began(subscription)
    known = [set(names(node.view(socket)["users"])) for socket in sockets]
    counts = [len(socket.frames) for socket in sockets]
    for number in range(150, 180):
        node.subscribe(person(number))
        await asyncio.sleep(0.002)
    await becomes(lambda: len(sockets[-1].frames) > 2 + counts[-1])
    await becomes(
        lambda: not node.presence._due and not any(t.is_queued for t in node.presence._topics.values())
    )
    for socket, users, count in zip(sockets, known, counts, strict=True):
        for push in socket.pushed[count:]:
            assert not users & set(names(push["joined"]))
            users |= set(names(push["joined"]))
        assert len(users) == 180


@pytest.fixture
def collector_at_rest() -> Iterator[None]:
    """What other tests left behind is not looked through while this one measures."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.mark.usefixtures("collector_at_rest")
async def test_a_thousand_people_who_come_back_hold_nobody_up(node: Node) -> None:
    """CPU between two turns of the loop, so that a busy machine does not matter."""
    sockets = [person(number) for number in range(1000)]
    longest_s, at_s, is_over = 0.0, process_time(), False

    async def look() -> None:
        nonlocal longest_s, at_s
        while not is_over:
            await asyncio.sleep(0)
            now_s = process_time()
            longest_s, at_s = max(longest_s, now_s - at_s), now_s

    looking = asyncio.create_task(look())
    for socket in sockets:
        node.subscribe(socket, watches=True)
        node.view(socket)
        # Over some ticks, as people come.
        await asyncio.sleep(0.0005)
    await becomes(lambda: all(socket.frames for socket in sockets))
    await ticks(8)
    is_over = True
    await looking
    frames = sum(len(socket.frames) for socket in sockets)
    assert frames <= 5_000
    assert longest_s <= 0.02 * slowness()
    assert all(socket.pushed[-1] == {"topic": "news", "count": 1000} for socket in sockets)


async def test_users_with_uuids_are_present_and_removed_on_other_nodes(pair: tuple[Node, Node]) -> None:
    one, two = pair
    keys = [UUID(int=number) for number in (1, 2)]
    identities = [Identity(cast("Any", key), f"u{key.int}", "acme", frozenset(), TOKEN) for key in keys]
    ann, ben = (Socket(cast("Any", identity)) for identity in identities)
    watching = one.subscribe(ann, watches=True)
    one.presence.view(cast("Connection", ann), KEY[1])
    leaving = two.subscribe(ben)
    await becomes(lambda: one.view(ann)["count"] == 2 and two.view(ben)["count"] == 2)
    assert [user["id"] for user in one.view(ann)["users"]] == [str(key) for key in keys]
    two.presence.ended(leaving, at_once=False)
    for node in pair:
        node.presence.removed(*KEY, str(keys[1]))
    await becomes(lambda: one.view(ann)["count"] == 1)
    one.presence.ended(watching, at_once=True)
