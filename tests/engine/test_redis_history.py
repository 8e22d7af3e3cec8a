"""What the histories in Redis leave on the server, and what they fetch from it."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from redis.asyncio import Redis

from realtime.core.history import ENTRY_OVERHEAD_BYTES
from realtime.core.position import Position
from realtime.core.topics import Retention, TopicKey
from realtime.topics.engine import redis_history
from realtime.topics.engine.broker import Broker
from realtime.topics.engine.drafts import make_draft
from realtime.topics.engine.ports import POSITIONS_PER_CALL
from realtime.topics.engine.redis_history import POSITION_TTL_S, RedisHistory
from tests.engine.conftest import RedisEngine
from tests.servers.broker import Process

pytestmark = pytest.mark.redis

KEY = TopicKey("acme", "news")
RETENTION = Retention(1000, 300)


@pytest.fixture
async def engine(valkey_url: str) -> AsyncIterator[RedisEngine]:
    made = RedisEngine(valkey_url)
    yield made
    await made.close()


@pytest.fixture
async def redis(valkey_url: str) -> AsyncIterator[Redis]:
    async with Redis.from_url(valkey_url) as client:
        yield client


async def keys_of(engine: RedisEngine, redis: Redis) -> list[str]:
    return sorted([key.decode() async for key in redis.scan_iter(f"{engine.prefix}:*")])


async def test_reading_leaves_one_key_for_all(engine: RedisEngine, redis: Redis) -> None:
    history = engine.history()
    for number in range(50):
        key = TopicKey(f"tenant{number % 5}", f"made up {number}")
        position = await history.position(key)
        await history.since(key, position, 10, 0)
        await history.since(key, Position("other", 7), 10, 0)
        await history.latest(key, 10, 0)
        await history.positions([key] * 3)
    assert await keys_of(engine, redis) == [f"{engine.prefix}:h:{{0}}:epoch"]


async def test_a_topic_asked_for_lives_on_and_others_end(engine: RedisEngine, redis: Redis) -> None:
    history = engine.history()
    await history.add(KEY, make_draft("news", 1, time=""), RETENTION)
    meta, *_ = [key for key in await keys_of(engine, redis) if key.endswith(":meta")]
    await redis.expire(meta, 100)
    await history.latest(KEY, 1, 0)
    assert await redis.ttl(meta) <= 100
    await history.positions([KEY])
    assert await redis.ttl(meta) > POSITION_TTL_S - 100


async def test_the_epoch_of_the_store_lives_as_long_as_its_memory(
    engine: RedisEngine, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ended every six days, and followers of a topic that was never written had to load it again."""
    monkeypatch.setattr(redis_history, "POSITION_TTL_S", 1)
    history = engine.history()
    start = await history.position(KEY)
    assert await redis.ttl(f"{engine.prefix}:h:{{0}}:epoch") == -1
    await asyncio.sleep(1.1)
    assert await history.position(KEY) == start
    assert (await history.since(KEY, start, 10, 0)).publications == []
    added = await history.add(KEY, make_draft("news", 1, time=""), RETENTION)
    assert added.position == Position(start.epoch, 1)


async def test_a_topic_that_was_forgotten_begins_again_under_an_epoch_of_its_own(
    engine: RedisEngine, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_history, "POSITION_TTL_S", 2)
    history = engine.history()
    positions = [await history.position(KEY)]
    for _ in range(3):
        positions.append((await history.add(KEY, make_draft("news", 1, time=""), RETENTION)).position)
        await redis.delete(
            *[key for key in await keys_of(engine, redis) if key.endswith((":meta", ":stream"))]
        )
        # As old as a topic must be to be forgotten.
        await redis.hincrby(f"{engine.prefix}:h:{{0}}:epoch", "uptime_s", -3)
        positions.append(await history.position(KEY))
    assert [position.offset for position in positions] == [0, 1, 0, 1, 0, 1, 0]
    # Also while it waits: a topic that was forgotten again is at another place.
    assert len(set(positions)) == 7
    for position in positions:
        assert (await history.since(KEY, position, 10, 0)).publications is None


async def test_many_positions_take_few_calls(engine: RedisEngine, redis: Redis) -> None:
    history = engine.history()
    keys = [TopicKey("acme", f"t{number}") for number in range(POSITIONS_PER_CALL * 2 + 1)]
    await history.add(keys[-1], make_draft("t", 1, time=""), RETENTION)
    before = (await redis.info("commandstats"))["cmdstat_evalsha"]["calls"]
    positions = await history.positions(keys)
    calls = (await redis.info("commandstats"))["cmdstat_evalsha"]["calls"] - before
    assert [position.offset for position in positions] == [0] * (len(keys) - 1) + [1]
    # One more where the server does not know the script yet.
    assert calls <= 4


async def test_what_does_not_fit_is_not_fetched(engine: RedisEngine, redis: Redis) -> None:
    history = engine.history(topic_bytes=0)
    for number in range(150):
        added = await history.add(KEY, make_draft("news", f"{number:03}" + "x" * 60_000, time=""), RETENTION)
    before = (await redis.info("stats"))["total_net_output_bytes"]
    page = await history.since(KEY, Position(added.position.epoch, 0), 1000, 512 * 1024)
    newest = await history.latest(KEY, 1000, 512 * 1024)
    fetched = (await redis.info("stats"))["total_net_output_bytes"] - before
    assert page.publications
    assert newest.publications
    assert len(page.publications) == len(newest.publications) == 512 * 1024 // 60_005
    assert fetched < 1_200_000


async def test_a_topic_keeps_its_bytes_on_the_server(engine: RedisEngine, redis: Redis) -> None:
    history = engine.history(topic_bytes=300_000)
    for number in range(100):
        await history.add(KEY, make_draft("news", f"{number:03}" + "x" * 20_000, time=""), RETENTION)
    (stream,) = [key for key in await keys_of(engine, redis) if key.endswith(":stream")]
    assert await redis.xlen(stream) == 300_000 // (20_005 + ENTRY_OVERHEAD_BYTES)
    used_bytes = await redis.memory_usage(stream, samples=0)
    assert used_bytes is not None
    assert used_bytes < 400_000


async def test_the_key_that_reading_needs_is_made_at_the_start(engine: RedisEngine, redis: Redis) -> None:
    """So that reads leave the number of keys as it is, the first one too."""
    await engine.lose_everything()
    history = engine.history()
    await history.begin()
    before = await keys_of(engine, redis)
    position = await history.position(KEY)
    assert (await history.since(KEY, position, 10, 0)).publications == []
    assert await keys_of(engine, redis) == before
    assert len(before) == 1


async def test_a_topic_without_a_bound_keeps_all_whatever_it_held_before(engine: RedisEngine) -> None:
    """The bound may be lifted, or a topic may be told to keep less, while it holds publications that were counted."""
    bounded, unbounded = engine.history(topic_bytes=40_000), engine.history(topic_bytes=0)
    for _ in range(3):
        await bounded.add(KEY, make_draft("news", "x" * 5000, time=""), RETENTION)
    for size in (4, 2):
        await unbounded.add(KEY, make_draft("news", "x" * 5000, time=""), Retention(size, 300))
        assert len((await unbounded.latest(KEY, 10, 0)).publications or []) == size


async def test_a_publication_to_a_known_topic_takes_few_commands(server: Process) -> None:
    """Each costs the server a tenth of the whole."""
    await asyncio.to_thread(server.call, "FLUSHALL")
    history = RedisHistory(Broker(f"redis://127.0.0.1:{server.port}"))
    for _ in range(2):
        await history.add(KEY, make_draft("news", 1, time=""), RETENTION)
    await asyncio.to_thread(server.call, "CONFIG", "RESETSTAT")
    await history.add(KEY, make_draft("news", 1, time=""), RETENTION)
    stats = await asyncio.to_thread(server.info, "commandstats")
    await history.close()
    calls = {name.removeprefix("cmdstat_"): value.split(",")[0] for name, value in stats.items()}
    of_the_test = {"config|resetstat", "hello", "client|setinfo"}
    inner = ("hmget", "info", "time", "xadd", "pexpire", "hset", "expire", "spublish")
    assert {name: calls[name] for name in calls.keys() - of_the_test} == dict.fromkeys(
        (*inner, "evalsha"), "calls=1"
    )


@pytest.mark.parametrize(
    "fields",
    [
        {"body": b"\xff no JSON"},
        {"body": b'[{"ok":1},[1.5,"ann"],"now"]'},
        {"body": b"[" * 5000},
        {"ms": "no number", "body": b'[1,null,"now"]'},
    ],
)
async def test_an_entry_that_cannot_be_read_kills_no_topic(
    engine: RedisEngine, redis: Redis, fields: dict[str, Any]
) -> None:
    history = engine.history()
    first = (await history.add(KEY, make_draft("news", 1, time=""), RETENTION)).position
    await history.add(KEY, make_draft("news", 2, time=""), RETENTION)
    (stream,) = [key for key in await keys_of(engine, redis) if key.endswith(":stream")]
    entries: Any = await redis.xrange(stream)
    (one, two) = entries
    await redis.delete(stream)
    await redis.xadd(stream, one[1], id=one[0])
    known = {name.decode(): value for name, value in two[1].items()}
    await redis.xadd(stream, known | fields, id=two[0])
    top = (await history.add(KEY, make_draft("news", 3, time=""), RETENTION)).position
    assert (await history.since(KEY, first, 10, 0)).publications is None
    after = Position(top.epoch, 2)
    for publications in (
        (await history.latest(KEY, 10, 0)).publications,
        (await history.since(KEY, after, 10, 0)).publications,
    ):
        assert [each.data for each in publications or []] == [msgspec.Raw(b"3")]
