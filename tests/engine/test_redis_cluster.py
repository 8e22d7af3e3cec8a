"""The engine over a real cluster: one set of servers for the whole file, through failovers, moves and stops."""

import asyncio
import contextlib
import itertools
import os
import time
from collections.abc import AsyncIterator, Callable, Iterator

import pytest

from realtime.core.partitions import slot_of, tags
from realtime.core.position import Position
from realtime.core.topics import Retention, TopicKey
from realtime.topics.engine.broker import Broker
from realtime.topics.engine.broker_bus import BrokerBus
from realtime.topics.engine.broker_check import check_broker
from realtime.topics.engine.carried import decode_carried
from realtime.topics.engine.drafts import make_draft
from realtime.topics.engine.names import group_name
from realtime.topics.engine.ports import POSITIONS_PER_CALL, Ask, BrokerRefusedError, EngineUnavailableError
from realtime.topics.engine.redis_history import RedisHistory
from tests.engine.test_broker_check import ALLOWED
from tests.servers.broker import Process
from tests.servers.cluster import Cluster

pytestmark = pytest.mark.redis

RETENTION = Retention(1000, 300)
TOPICS = [TopicKey("acme", f"t{number}") for number in range(12)]
HEAL_S = 20.0


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    made = Cluster(tmp_path_factory.mktemp("cluster"))
    try:
        made.start()
        yield made
    finally:
        made.stop()


class Node:
    """A process: what it has published, and what it has heard of others."""

    def __init__(self, url: str) -> None:
        self.broker = Broker(url)
        self.history = RedisHistory(self.broker)
        self.bus = BrokerBus(self.broker, on_gap=self._gap)
        self.heard: dict[str, list[Position]] = {}
        self.heard_s: dict[str, list[float]] = {}
        self.missed: set[str] = set()

    async def start(self) -> None:
        await self.bus.start(self._take)
        await asyncio.gather(*(self.bus.join(group_name(key)) for key in TOPICS))

    async def stop(self) -> None:
        await self.bus.stop()
        await self.history.close()

    async def publish(self, key: TopicKey, number: int) -> Position:
        """As a publisher with an idempotency key does: it repeats until it has an answer."""
        draft = make_draft(key.topic, number, time="", idempotency_key=f"once {number}")
        async with asyncio.timeout(HEAL_S):
            while True:
                try:
                    return (await self.history.add(key, draft, RETENTION)).position
                except EngineUnavailableError:
                    await asyncio.sleep(0.05)

    async def numbers(self, key: TopicKey) -> list[int]:
        page = await self.history.latest(key, 1000, 0)
        return [int(bytes(each.data)) for each in page.publications or []]

    def _take(self, group: str, body: bytes) -> None:
        carried = decode_carried(body)
        if carried is not None:
            self.heard.setdefault(group, []).append(carried.position)
            self.heard_s.setdefault(group, []).append(time.monotonic())

    def _gap(self, groups: object) -> None:
        assert isinstance(groups, list)
        self.missed |= set(groups)


@pytest.fixture
async def nodes(cluster: Cluster) -> AsyncIterator[tuple[Node, Node]]:
    await asyncio.to_thread(cluster.wait_healthy)
    pair = (Node(cluster.url), Node(cluster.url))
    for node in pair:
        await node.start()
    yield pair
    for node in pair:
        await node.stop()


def slot(node: Node, key: TopicKey) -> int:
    return slot_of(tags(128)[node.broker.names.topic(key).partition].encode())


async def owners(cluster: Cluster, node: Node) -> dict[TopicKey, Process]:
    return {key: await asyncio.to_thread(cluster.owner, slot(node, key)) for key in TOPICS}


async def eventually(is_true: Callable[[], bool]) -> None:
    async with asyncio.timeout(HEAL_S):
        while not is_true():  # noqa: ASYNC110 what is waited for comes from several places
            await asyncio.sleep(0.02)


async def test_topics_lie_on_all_primaries_and_are_heard(nodes: tuple[Node, Node], cluster: Cluster) -> None:
    one, two = nodes
    begun = await asyncio.gather(*(one.publish(key, 0) for key in TOPICS))
    assert len(set((await owners(cluster, one)).values())) == 3
    await eventually(lambda: all(group_name(key) in two.heard for key in TOPICS))
    assert [two.heard[group_name(key)][0] for key in TOPICS] == begun
    many = TOPICS * 40
    assert await two.history.positions(many) == [*begun] * 40
    assert len(many) > POSITIONS_PER_CALL
    pages = await two.history.pages([Ask(key, None, 10, 0) for key in TOPICS])
    assert [page.position for page in pages] == begun


async def test_reading_what_was_never_written_leaves_nothing(nodes: tuple[Node, Node]) -> None:
    one, two = nodes
    keys = [TopicKey("acme", f"never {number}") for number in range(300)]
    first = await one.history.positions(keys)
    assert first == await two.history.positions(keys)
    assert {position.offset for position in first} == {0}
    for key, position in zip(keys[:20], first, strict=False):
        assert (await two.history.since(key, position, 10, 0)).publications == []


async def test_a_graceful_failover_loses_nothing_and_makes_nobody_reload(
    nodes: tuple[Node, Node], cluster: Cluster
) -> None:
    one, two = nodes
    before = {key: await one.publish(key, 100) for key in TOPICS}
    primary = next(iter((await owners(cluster, one)).values()))
    handing = asyncio.create_task(asyncio.to_thread(cluster.fail_over, primary))
    for number in range(101, 121):
        await asyncio.gather(*(one.publish(key, number) for key in TOPICS))
        await asyncio.sleep(0.02)
    await handing
    for key in TOPICS:
        page = await two.history.since(key, before[key], 1000, 0)
        assert [int(bytes(each.data)) for each in page.publications or []] == list(range(101, 121))
    await heals(one, two)


async def test_a_killed_primary_is_silent_for_a_while_and_the_others_are_not(
    nodes: tuple[Node, Node], cluster: Cluster
) -> None:
    one, two = nodes
    where = await owners(cluster, one)
    victim = where[TOPICS[0]]
    await asyncio.gather(*(asyncio.to_thread(cluster.in_step, each) for each in set(where.values())))
    killed_s = time.monotonic()
    await asyncio.to_thread(victim.kill)
    await load(one, seconds=3.0)
    await heals(one, two)
    mine = [key for key in TOPICS if where[key] is victim]
    others = [key for key in TOPICS if where[key] is not victim]
    assert mine
    own_s = silence(two, mine, killed_s)
    assert own_s < 6.0
    # Under load everything takes longer.
    assert silence(two, others, killed_s) < max(1.0, own_s * 0.75)
    assert {group_name(key) for key in mine} <= two.missed
    assert not {group_name(key) for key in others} & two.missed
    victim.start()
    await asyncio.to_thread(cluster.wait_healthy)


async def test_a_stopped_primary_is_left(nodes: tuple[Node, Node], cluster: Cluster) -> None:
    one, two = nodes
    where = await owners(cluster, one)
    victim = where[TOPICS[0]]
    await asyncio.gather(*(asyncio.to_thread(cluster.in_step, each) for each in set(where.values())))
    stopped_s = time.monotonic()
    victim.hang()
    try:
        await load(one, seconds=4.0)
        await heals(one, two)
    finally:
        victim.go_on()
    others = [key for key in TOPICS if where[key] is not victim]
    own_s = silence(two, [key for key in TOPICS if where[key] is victim], stopped_s)
    assert own_s < 8.0
    assert silence(two, others, stopped_s) < max(1.0, own_s * 0.75)
    await asyncio.to_thread(cluster.wait_healthy)


async def test_a_slot_that_moves_takes_its_topics_along(nodes: tuple[Node, Node], cluster: Cluster) -> None:
    one, two = nodes
    key = TOPICS[0]
    where = await owners(cluster, one)
    before = await one.publish(key, 500)
    target = next(each for each in set(where.values()) if each is not where[key])
    moving = asyncio.create_task(asyncio.to_thread(cluster.move_slot, slot(one, key), target))
    number = 500
    while not moving.done() or number < 520:
        number += 1
        await one.publish(key, number)
        # Slowly enough for the history to hold them all, however long it takes.
        await asyncio.sleep(0.02)
    await moving
    page = await two.history.since(key, before, 5000, 0)
    assert [int(bytes(each.data)) for each in page.publications or []] == list(range(501, number + 1))
    await heals(one, two)
    # Back to where the others expect it.
    await asyncio.to_thread(cluster.move_slot, slot(one, key), where[key])


async def test_the_check_tries_every_primary(cluster: Cluster) -> None:
    """With the rights that production.md names; a right that is missing on one of them only is found."""
    assert await check_broker(cluster.url) == []
    rights = ("ACL", "SETUSER", "site", "reset", "on", ">secret", *f"{ALLOWED} +cluster|slots".split())
    for process in cluster.processes:
        await asyncio.to_thread(process.call, *rights)
    url = cluster.url.replace("://", "://site:secret@")
    assert await check_broker(url) == []
    for process in (await asyncio.to_thread(cluster.primaries))[1:]:
        await asyncio.to_thread(process.call, "ACL", "SETUSER", "site", "-spublish")
        with pytest.raises(BrokerRefusedError, match=r"spublish|can't run this command"):
            await check_broker(url)
        await asyncio.to_thread(process.call, "ACL", "SETUSER", "site", "+spublish")


async def load(node: Node, *, seconds: float) -> None:
    """Publish to each topic about 50 times a second, whatever becomes of it."""

    async def publish(key: TopicKey) -> None:
        end_s = time.monotonic() + seconds
        while time.monotonic() < end_s:
            with contextlib.suppress(EngineUnavailableError):
                await node.history.add(key, make_draft(key.topic, 1, time=""), RETENTION)
            await asyncio.sleep(0.02)

    await asyncio.gather(*map(publish, TOPICS))


def silence(node: Node, topics: list[TopicKey], since_s: float) -> float:
    """The longest time after `since_s` in which nothing of one of these topics was heard, in seconds."""
    longest = 0.0
    for key in topics:
        times = [since_s, *(each for each in node.heard_s[group_name(key)] if each > since_s)]
        longest = max(longest, *(b - a for a, b in itertools.pairwise(times)))
    return longest


async def heals(sender: Node, receiver: Node) -> None:
    """Every topic that one publishes to is heard by the other."""
    for key in TOPICS:
        async with asyncio.timeout(HEAL_S):
            while True:
                position = await sender.publish(key, int.from_bytes(os.urandom(4)))
                await asyncio.sleep(0.05)
                if position in receiver.heard.get(group_name(key), []):
                    break
