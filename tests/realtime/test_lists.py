"""Lists over nodes: the same rows as one sorted list, however deep the page; 50,000 connections without a long hold."""

import asyncio
import gc
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from random import Random
from time import thread_time
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest

from realtime.control.lists import Page, count_connections, list_connections, list_topics
from realtime.node.exchange import ASKED_GROUP, Answers, Exchange
from realtime.node.lists import SORTS, ConnectionQuery, TopicQuery, topic_rows
from realtime.node.operations import DescribeConnections, Operations, encode
from realtime.node.slices import Top
from realtime.topics.engine.memory import MemoryBus, MemoryExchange
from tests.slowness import slowness

COUNT = 50_000
NODES = ("n1", "n2", "n3")
# Of CPU time: other processes of the machine do not count.
LIST_MAX_S = 0.4
HOLD_MAX_S = 0.020
START = datetime(2026, 1, 1, tzinfo=UTC)
TENANTS = tuple(SimpleNamespace(slug=slug) for slug in ("acme", "globex"))
TOPICS = tuple(dict.fromkeys(f"t{each}" for each in range(count)) for count in range(4))
ROUTES = ("/ws/pubsub/", "/ws/chat/", "/ws/rpc/")


def connection(number: int, dice: Random) -> Any:
    """A connection as lists see it."""
    username = f"user{number % 5000}"
    outbox = SimpleNamespace(
        held_bytes=dice.randrange(1000), rtt_ms=dice.choice([None, 1.5, 20.0]), is_behind=False
    )
    return SimpleNamespace(
        id=f"{number:016x}",
        tenant=TENANTS[number % 2],
        identity=SimpleNamespace(user_id=number % 5000, username=username) if number % 3 else None,
        route=ROUTES[number % 3],
        address=f"10.0.{number % 200}.{number % 250}",
        agent="Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101 Firefox/130.0",
        opened_at=START + timedelta(seconds=dice.randrange(100_000)),
        messages_in=dice.randrange(10_000),
        messages_out=dice.randrange(10_000),
        outbox=outbox,
        subscriptions=TOPICS[number % 4],
        is_closing=False,
    )


class Cluster:
    """Nodes on one loop, and a link from the first of them."""

    def __init__(self, count: int) -> None:
        dice = Random(7)
        self.all = [connection(number, dice) for number in range(count)]
        self.exchanges: list[Exchange] = []
        self.silent: set[str] = set()
        self._memory = MemoryExchange()

    async def start(self, *, has_topics: bool = True) -> "Cluster":
        """Let the nodes hear each other."""
        for index, name in enumerate(NODES):
            own = {each.id: each for each in self.all[index :: len(NODES)]}
            here = SimpleNamespace(
                id=name, connections=own, hub=self._hub(own if has_topics else {}), cluster=self
            )
            bus = MemoryBus(self._memory)
            perform = Operations(cast("Any", here)).perform
            exchange = Exchange(name, bus, asyncio.create_task, peers=lambda: NODES, perform=perform)
            await bus.start(self._taker(name, exchange))
            await bus.join(ASKED_GROUP)
            await bus.join(exchange.reply_group)
            self.exchanges.append(exchange)
        return self

    async def read_all(self, operation: Any) -> Answers:
        """As `Link.read_all`."""
        return await self.exchanges[0].read(encode(operation))

    def count(self, key: tuple[str, str]) -> int:
        """Return the number of users in a topic: always 0."""
        return 0

    def _taker(self, name: str, exchange: Exchange) -> Callable[[str, bytes], None]:
        def take(group: str, body: bytes) -> None:
            if name not in self.silent:
                (exchange.asked if group == ASKED_GROUP else exchange.answered)(body)

        return take

    def _hub(self, own: dict[str, Any]) -> Any:
        topics: dict[tuple[str, str], Any] = {}
        for each in own.values():
            for name in each.subscriptions:
                key = SimpleNamespace(tenant=each.tenant.slug, topic=name)
                local = topics.setdefault(
                    (key.tenant, name), SimpleNamespace(key=key, subscriptions={}, epoch="e", offset=1)
                )
                local.subscriptions[each.id] = SimpleNamespace(connection=each)
                each.is_behind = False
        return SimpleNamespace(
            topics=lambda: list(topics.values()),
            topic=lambda key: None,
        )


async def page_of(cluster: Cluster, page: int = 1, size: int = 50, **filters: Any) -> Page:
    return await list_connections(cast("Any", cluster), ConnectionQuery(**filters), page, size)


@pytest.mark.parametrize("sort", sorted(SORTS))
@pytest.mark.parametrize("is_descending", [False, True])
async def test_pages_are_slices_of_one_sorted_list(sort: str, is_descending: bool) -> None:
    cluster = await Cluster(300).start()
    nodes = {each.id: NODES[index % 3] for index, each in enumerate(cluster.all)}
    key = SORTS[sort]
    rows = [(nodes[each.id] if sort == "node" else key(each), each.id) for each in cluster.all]
    wanted = [row[1] for row in sorted(rows, reverse=is_descending)]
    found: list[str] = []
    for page in range(1, 8):
        answer = await page_of(cluster, page, 45, sort=sort, is_descending=is_descending)
        assert (answer.count, answer.nodes_answered, answer.nodes_total) == (300, 3, 3)
        found += [each["id"] for each in answer.results]
    assert found == wanted


@pytest.mark.parametrize(
    ("filters", "fits"),
    [
        ({"tenant": "acme"}, lambda each: each.tenant.slug == "acme"),
        ({"user": "user7"}, lambda each: each.identity and each.identity.username == "user7"),
        ({"user": "7"}, lambda each: each.identity and each.identity.user_id == 7),
        ({"route": "/ws/chat"}, lambda each: each.route == "/ws/chat/"),
        ({"address": "10.0.3.0/24"}, lambda each: each.address.startswith("10.0.3.")),
        ({"address": "10.0.3.3"}, lambda each: each.address == "10.0.3.3"),
        ({"topic": "t2"}, lambda each: "t2" in each.subscriptions),
        ({"search": "USER12"}, lambda each: each.identity and "user12" in each.identity.username),
        (
            {"search": "firefox", "tenant": "globex", "topic": "t1"},
            lambda each: each.tenant.slug == "globex" and "t1" in each.subscriptions,
        ),
        ({"address": "nonsense"}, lambda each: False),
    ],
)
async def test_filters(filters: dict[str, Any], fits: Callable[[Any], bool]) -> None:
    cluster = await Cluster(400).start()
    cluster_hub = {"topic", "tenant"} <= set(filters)
    wanted = {each.id for each in cluster.all if fits(each)}
    if cluster_hub:
        # A topic of one tenant is looked up in the hub, which the fake has not.
        del filters["tenant"]
        wanted = {each.id for each in cluster.all if filters["topic"] in each.subscriptions}
    answer = await page_of(cluster, 1, 500, **filters)
    assert {each["id"] for each in answer.results} == wanted
    assert answer.count == len(wanted)
    assert await count_connections(cast("Any", cluster), ConnectionQuery(**filters)) == len(wanted)


async def test_a_silent_node_is_left_out_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("realtime.node.exchange.READ_WAIT_S", 0.05)
    cluster = await Cluster(30).start()
    cluster.silent = {"n3"}
    answer = await page_of(cluster)
    assert (answer.count, answer.nodes_answered, answer.nodes_total) == (20, 2, 3)


async def test_topics_are_summed_over_the_nodes() -> None:
    cluster = await Cluster(300).start()
    answer = await list_topics(
        cast("Any", cluster), TopicQuery(tenant="acme"), "subscribers", 1, 2, is_descending=True
    )
    counts: dict[str, int] = {}
    for each in cluster.all:
        if each.tenant.slug == "acme":
            for name in each.subscriptions:
                counts[name] = counts.get(name, 0) + 1
    wanted = sorted(((count, name) for name, count in counts.items()), reverse=True)
    assert answer.count == len(counts)
    assert [(each["subscribers"], each["topic"]) for each in answer.results] == wanted[:2]


async def test_what_is_described_is_described_in_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    """Topics with many readers, and connections with many topics: other work goes on meanwhile."""
    monkeypatch.setattr("realtime.node.slices.SLICE_S", 0.0)
    cluster = await Cluster(900).start(has_topics=False)
    behind = SimpleNamespace(outbox=SimpleNamespace(is_behind=True))
    ready = SimpleNamespace(outbox=SimpleNamespace(is_behind=False))
    # 300 readers in two topics, of which one in three is behind.
    readers = {"wide": [behind, ready, ready] * 90, "narrow": [behind, ready, ready] * 10}
    local = {name: SimpleNamespace(subscriptions=some, epoch="e", offset=3) for name, some in readers.items()}
    hub = cast("Any", SimpleNamespace(topic=lambda key: local.get(key.topic)))
    keys = [("acme", name) for name in ("narrow", "nobody", "wide")]
    async with turns() as taken:
        rows = await topic_rows(hub, cast("Any", cluster), keys)
    assert [(each["topic"], each["slow"], each["offset"]) for each in rows] == [
        ("narrow", 10, 3),
        ("nobody", 0, 0),
        ("wide", 90, 3),
    ]
    assert len(taken) >= 2
    own = [each.id for each in cluster.all[:: len(NODES)]]
    async with turns() as taken:
        described = await cluster.read_all(DescribeConnections(ids=own, topics_max=1))
    [rows] = [rows for rows in map(msgspec.msgpack.decode, described.bodies()) if rows]
    assert [each["id"] for each in rows] == own
    assert len(taken) >= 30


@asynccontextmanager
async def turns() -> AsyncIterator[list[None]]:
    """One item for each turn that other work gets."""
    taken: list[None] = []

    async def other_work() -> None:
        while True:
            await asyncio.sleep(0)
            taken.append(None)

    task = asyncio.create_task(other_work())
    yield taken
    task.cancel()


async def test_fifty_thousand_connections() -> None:
    # As servers do: what lives on is not looked at again by the collector.
    gc.freeze()
    gc.disable()
    try:
        crowd = await Cluster(COUNT).start(has_topics=False)
        for page, filters in (
            (1, {}),
            (1000, {"sort": "messages_in"}),
            (500, {"sort": "user", "is_descending": False}),
            (1, {"search": "user4999"}),
            (3, {"address": "10.0.0.0/16", "sort": "address"}),
        ):
            holds = Holds()
            async with holds.measured():
                began_s = thread_time()
                answer = await page_of(crowd, page, **filters)
                took_s = thread_time() - began_s
            slow = slowness()
            assert answer.results
            assert answer.nodes_answered == 3
            # All three nodes and the asker share this thread.
            assert took_s < LIST_MAX_S * slow, f"{filters}: {took_s * 1000:.0f} ms"
            assert holds.longest_s < HOLD_MAX_S * slow, f"{filters}: {holds.longest_s * 1000:.1f} ms"
    finally:
        gc.enable()
        gc.unfreeze()


async def test_top_keeps_the_first_of_many() -> None:
    dice = Random(3)
    rows = [(dice.randrange(1000), number) for number in range(20_000)]
    for limit in (0, 1, 50, 15_000, 20_000):
        top = Top(limit, is_descending=False)
        for at in range(0, len(rows), 700):
            await top.add(rows[at : at + 700])
        assert await top.rows() == sorted(rows)[:limit]


class Holds:
    """The CPU seconds for which others hold the loop, seen from a task that always wants to run."""

    longest_s = 0.0

    def measured(self) -> "Measured":
        """Measure inside the block."""
        return Measured(self)


class Measured:
    """The block."""

    def __init__(self, holds: Holds) -> None:
        self._holds = holds

    async def __aenter__(self) -> None:
        self._task = asyncio.create_task(self._watch())
        await asyncio.sleep(0)

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _watch(self) -> None:
        while True:
            began_s = thread_time()
            await asyncio.sleep(0)
            self._holds.longest_s = max(self._holds.longest_s, thread_time() - began_s)
