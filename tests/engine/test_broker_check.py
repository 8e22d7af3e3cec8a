"""A broker is tried out at the start. A sentence says what it lacks."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

from realtime.node.broker_watch import REFUSED_S, UNREACHABLE_S, BrokerWatch
from realtime.topics.engine.broker_check import _meaning, check_broker, reason
from realtime.topics.engine.broker_connection import ReplyError
from realtime.topics.engine.ports import BrokerRefusedError, EngineUnavailableError
from tests.servers.broker import Process
from tests.servers.ports import free_port

pytestmark = pytest.mark.redis

ALLOWED = (
    "~rockstar:h:* ~:1:* &rockstar* +@scripting +@hash +@stream +@bitmap +@keyspace +@string +@connection +@pubsub "
    "+time +info -@dangerous +info"
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    made = Process(tmp_path_factory.mktemp("check"))
    try:
        made.start()
        yield made
    finally:
        made.kill()


@pytest.fixture
async def redis(server: Process) -> AsyncIterator[Redis]:
    async with Redis(port=server.port) as client:
        yield client
        await client.config_set("maxmemory", 0)


async def url_of(server: Process, rights: str) -> str:
    command = ["ACL", "SETUSER", "site", "reset", "on", ">secret", *rights.split()]
    await asyncio.to_thread(server.call, *command)
    return f"redis://site:secret@127.0.0.1:{server.port}/0"


async def test_what_production_md_names_is_enough_and_nothing_is_left(server: Process, redis: Redis) -> None:
    assert await check_broker(await url_of(server, ALLOWED)) == []
    assert await redis.dbsize() == 0


@pytest.mark.parametrize(
    "without",
    [
        "info",
        "evalsha",
        "hset",
        "xadd",
        "expire",
        "time",
        "bitfield",
        "spublish",
        "ssubscribe",
        "sunsubscribe",
        "del",
        "xrange",
        "xrevrange",
        "xlen",
        "xdel",
    ],
)
async def test_a_missing_command_is_named(server: Process, without: str) -> None:
    # Redis 7.0 does not name what a script may not run.
    said = without if server.is_valkey else rf"{without}|can't run this command"
    with pytest.raises(BrokerRefusedError, match=said) as caught:
        await check_broker(await url_of(server, f"{ALLOWED} -{without}"))
    assert "secret" not in str(caught.value)
    assert "site" not in str(caught.value)


def test_a_right_that_redis_7_0_does_not_name() -> None:
    text = "ERR The user executing the script can't run this command or subcommand script: c2f2, on @user_script:7."
    meaning = _meaning(ReplyError(text))
    assert isinstance(meaning, BrokerRefusedError)
    assert "lacks a right" in str(meaning)


@pytest.mark.parametrize("pattern", ["~rockstar:h:*", "&rockstar*"])
async def test_keys_and_channels_must_be_allowed(server: Process, pattern: str) -> None:
    with pytest.raises(BrokerRefusedError, match="right"):
        await check_broker(await url_of(server, ALLOWED.replace(pattern, "")))


async def test_a_wrong_password_is_refused(server: Process) -> None:
    url = (await url_of(server, ALLOWED)).replace("secret", "other")
    with pytest.raises(BrokerRefusedError, match="user and password"):
        await check_broker(url)


@pytest.mark.parametrize(
    ("url", "advice"),
    [("redis://127.0.0.1:{port}/99", "a lower one"), ("redis+cluster://127.0.0.1:{port}", "no cluster")],
)
async def test_what_no_repetition_mends_is_refused(server: Process, url: str, advice: str) -> None:
    with pytest.raises(BrokerRefusedError, match=advice):
        await check_broker(url.format(port=server.port))


async def test_the_reason_is_the_first_cause(tmp_path: Path) -> None:
    reasons = []
    for url in (f"redis://127.0.0.1:{free_port()}/0", f"unix://{tmp_path}/none.sock"):
        with pytest.raises(EngineUnavailableError) as caught:
            await check_broker(url)
        reasons.append(reason(caught.value))
    assert "Connect call failed" in reasons[0]
    assert "No such file" in reasons[1]


async def test_a_broker_that_drops_keys(server: Process, redis: Redis) -> None:
    url = f"redis://127.0.0.1:{server.port}/0"
    await redis.config_set("maxmemory", 10**9)
    await redis.config_set("maxmemory-policy", "volatile-lru")
    (warning,) = await check_broker(url)
    assert "volatile-lru" in warning
    await redis.config_set("maxmemory-policy", "allkeys-lfu")
    with pytest.raises(BrokerRefusedError, match="allkeys-lfu"):
        await check_broker(url)


async def test_one_that_cannot_be_reached_or_cannot_answer_now_is_not_refused(
    server: Process, redis: Redis
) -> None:
    with pytest.raises(EngineUnavailableError):
        await check_broker(f"redis://127.0.0.1:{free_port()}/0")
    await redis.config_set("min-replicas-to-write", 1)
    with pytest.raises(EngineUnavailableError):
        await check_broker(f"redis://127.0.0.1:{server.port}/0")
    await redis.config_set("min-replicas-to-write", 0)


async def test_the_watch_names_the_reason_until_it_is_gone() -> None:
    outcomes: list[Exception | list[str]] = [EngineUnavailableError("away"), BrokerRefusedError("No."), []]

    async def check(url: str) -> list[str]:
        outcome = outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    watch = BrokerWatch(check)
    waits = [(await watch.try_once("redis://h"), watch.fault) for _ in range(3)]
    assert waits == [(UNREACHABLE_S, ""), (REFUSED_S, "No."), (None, "")]
