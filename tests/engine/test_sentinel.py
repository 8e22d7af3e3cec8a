"""The engine over Sentinel, through real failovers: one set of servers for the whole file."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any, cast

import pytest
from channels.layers import BaseChannelLayer
from channels_redis.pubsub import RedisPubSubChannelLayer
from django.core.cache.backends.redis import RedisCache
from redis.asyncio.sentinel import Sentinel

from realtime.core.broker_url import cache_settings, channel_layer_settings
from realtime.core.position import Position
from realtime.core.topics import Retention, TopicKey
from realtime.topics.engine.broker import Broker
from realtime.topics.engine.broker_bus import BrokerBus
from realtime.topics.engine.drafts import make_draft
from realtime.topics.engine.ports import BusUnavailableError, EngineUnavailableError
from realtime.topics.engine.redis_history import RedisHistory
from tests.engine.conftest import Node
from tests.servers.sentinels import SentinelSet

pytestmark = pytest.mark.redis

KEY = TopicKey("acme", "news")
RETENTION = Retention(1000, 300)
HEAL_S = 20.0


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SentinelSet]:
    made = SentinelSet(tmp_path_factory.mktemp("sentinels"))
    try:
        made.start()
        yield made
    finally:
        made.stop()


@pytest.fixture(autouse=True)
async def nothing_left(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    """channels_redis leaves its connections to the sentinels to the garbage collector."""
    made: list[Sentinel] = []
    begin = Sentinel.__init__

    def remembered(sentinel: Sentinel, *args: Any, **kwargs: Any) -> None:
        begin(sentinel, *args, **kwargs)  # type: ignore[no-untyped-call] # redis-py has no types for it
        made.append(sentinel)

    monkeypatch.setattr(Sentinel, "__init__", remembered)
    yield
    for sentinel in made:
        await sentinel.aclose()


@pytest.fixture
async def history(servers: SentinelSet) -> AsyncIterator[RedisHistory]:
    await asyncio.to_thread(servers.primary)
    made = RedisHistory(Broker(servers.url, deadline_s=1.0))
    yield made
    await made.close()


@pytest.fixture
async def nodes(servers: SentinelSet, history: RedisHistory) -> AsyncIterator[tuple[Node, Node]]:
    """Two nodes, each with its own connections."""
    brokers = [Broker(servers.url) for _ in range(2)]
    pair = (Node(BrokerBus(brokers[0])), Node(BrokerBus(brokers[1])))
    for node in pair:
        await node.bus.start(node.receive)
        await node.bus.join("group")
    yield pair
    for node, broker in zip(pair, brokers, strict=True):
        await node.bus.stop()
        await broker.close()


def layer(url: str) -> RedisPubSubChannelLayer:
    return RedisPubSubChannelLayer(**channel_layer_settings(url)["CONFIG"])


async def publish(history: RedisHistory, number: int) -> Position:
    """As a publisher with an idempotency key does: it repeats until it has an answer."""
    draft = make_draft(KEY.topic, number, time="", idempotency_key=f"once {number}")
    async with asyncio.timeout(HEAL_S):
        while True:
            try:
                return (await history.add(KEY, draft, RETENTION)).position
            except EngineUnavailableError:
                await asyncio.sleep(0.05)


async def numbers(history: RedisHistory) -> list[int]:
    page = await history.latest(KEY, 1000, 0)
    return [int(bytes(each.data)) for each in page.publications or []]


async def is_heard(sender: Node, receiver: Node, body: bytes) -> bool:
    try:
        await sender.bus.send("group", body)
    except BusUnavailableError:
        return False
    await asyncio.sleep(0.1)
    return ("group", body) in receiver.received


async def heals(sender: Node, receiver: Node) -> None:
    async with asyncio.timeout(HEAL_S):
        while not await is_heard(sender, receiver, b"healed"):  # noqa: ASYNC110 what is waited for is elsewhere
            await asyncio.sleep(0.1)


async def go_through(history: RedisHistory, servers: SentinelSet, *, by_kill: bool) -> None:
    """Publish before, while and after the primary changes; nothing is lost, doubled or out of order."""
    first, start = len(await numbers(history)), await history.position(KEY)
    for number in range(first, first + 20):
        await publish(history, number)
    # The rest is about the switch, not about a tail that a replica never had. And a sentinel that still leads the failover
    # before does not learn of this one for half a minute.
    await asyncio.to_thread(servers.wait_healthy)
    primary = await asyncio.to_thread(servers.in_step)
    if by_kill:
        await asyncio.to_thread(primary.kill)
    else:
        await asyncio.to_thread(servers.fail_over)
    for number in range(first + 20, first + 40):
        await publish(history, number)
    assert await numbers(history) == list(range(first + 40))
    page = await history.since(KEY, start, 1000, 0)
    assert [int(bytes(each.data)) for each in page.publications or []] == list(range(first, first + 40))
    assert page.position.epoch != start.epoch


async def test_the_cache_and_the_layer_of_a_site(servers: SentinelSet, history: RedisHistory) -> None:
    settings = cache_settings(servers.url)
    cache = RedisCache(settings["LOCATION"], settings)
    cache.set("key", 1, 60)
    assert cache.get("key") == 1
    client: Any = cache._cache
    for pool in client._pools.values():
        pool.disconnect()
        for sentinel in pool.sentinel_manager.sentinels:
            sentinel.close()
    site = cast("BaseChannelLayer", layer(servers.url))
    channel = await site.new_channel()
    await site.group_add("others", channel)
    await asyncio.sleep(0.2)
    await site.group_send("others", {"type": "hello"})
    assert await asyncio.wait_for(site.receive(channel), 5) == {"type": "hello"}
    await site.flush()


async def test_a_primary_is_handed_over_and_another_is_killed(
    servers: SentinelSet, history: RedisHistory, nodes: tuple[Node, Node]
) -> None:
    one, two = nodes
    # As in a process without sockets: nothing looks after its connections between two calls.
    lone = Broker(servers.url)
    sender = Node(BrokerBus(lone))
    # The killed server comes last, because it needs time to become a replica.
    for by_kill in (False, True):
        await go_through(history, servers, by_kill=by_kill)
        for each, other in ((one, two), (two, one), (sender, two)):
            other.received.clear()
            await heals(each, other)
    await lone.close()
