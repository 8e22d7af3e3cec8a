"""Histories of a broker that loses its newest writes, against a pure model of the log.

One server plays both: `SAVE` is the moment at which a replica is cut off, `DEBUG RELOAD` is that replica being
promoted, and `DEBUG CHANGE-REPL-ID` is what a promotion does to `master_replid`. So a fork takes milliseconds.
"""

import asyncio
import os
import random
from collections.abc import AsyncIterator
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import pytest
from redis.asyncio import Redis

from realtime.core.position import Position
from realtime.core.topics import Retention, TopicKey
from realtime.topics.engine.broker import Broker
from realtime.topics.engine.drafts import make_draft
from realtime.topics.engine.redis_history import RedisHistory
from tests.servers.broker import Process

pytestmark = pytest.mark.redis

# With FORK_SEEDS=42 a thousand forks.
SEEDS = int(os.environ.get("FORK_SEEDS", "4"))
RETENTION = Retention(1000, 300)
KEYS = [TopicKey(tenant, name) for tenant in ("acme", "globex") for name in ("a", "b", "c")]


@pytest.fixture
async def history(server: Process) -> AsyncIterator[RedisHistory]:
    await asyncio.to_thread(server.call, "FLUSHALL")
    made = RedisHistory(Broker(f"redis://127.0.0.1:{server.port}"))
    yield made
    await made.close()


@dataclass
class Client:
    """A reader that was at `position` and had seen `seen`."""

    key: TopicKey
    position: Position
    seen: list[int]


@dataclass
class Model:
    """The current log, even if a server that is gone acknowledged something else."""

    logs: dict[TopicKey, list[int]] = field(default_factory=lambda: {key: [] for key in KEYS})
    clients: list[Client] = field(default_factory=list)
    number: int = 0
    recovered: int = 0
    told: int = 0

    async def publish(self, history: RedisHistory, key: TopicKey) -> None:
        self.number += 1
        added = await history.add(key, make_draft(key.topic, self.number, time=""), RETENTION)
        self.logs[key].append(self.number)
        assert added.position.offset == len(self.logs[key])
        self.saw(key, added.position)

    def saw(self, key: TopicKey, position: Position) -> None:
        assert position.offset == len(self.logs[key])
        self.clients.append(Client(key, position, list(self.logs[key])))

    async def look(self, history: RedisHistory, key: TopicKey) -> None:
        self.saw(key, await history.position(key))

    async def come_back(self, history: RedisHistory, client: Client) -> None:
        """Only readers whose past agrees with the log are told that they have everything.

        One exception: a reader that only the lost server told under which epoch a topic would begin
        may be told to reload, although there is nothing yet.
        """
        log = self.logs[client.key]
        page = await history.since(client.key, client.position, 10_000, 0)
        assert page.position.offset == len(log)
        is_whole = log[: len(client.seen)] == client.seen
        assert is_whole or page.publications is None, "told falsely that nothing is missing"
        assert page.publications is not None or not is_whole or not client.seen, "a needless reload"
        if page.publications is None:
            self.told += 1
            return
        self.recovered += 1
        assert client.seen + [msgspec.json.decode(each.data) for each in page.publications] == log
        self.saw(client.key, page.position)


@pytest.mark.parametrize("seed", range(SEEDS))
async def test_nobody_is_told_falsely(seed: int, server: Process, history: RedisHistory) -> None:
    """No false answer, and no reload without a loss; up to 24 forks, fewer than are remembered."""
    chance = random.Random(seed)
    model = Model()
    async with Redis(port=server.port) as redis:
        for _ in range(24):
            for _ in range(chance.randrange(4)):
                await chance.choice([model.publish, model.look])(history, chance.choice(KEYS))
            await redis.save()
            kept = deepcopy(model.logs)
            for _ in range(chance.choice([0, 0, 3, 6])):
                await chance.choice([model.publish, model.look])(history, chance.choice(KEYS))
            model.logs = kept
            await debug(server, "RELOAD", "NOSAVE")
            await debug(server, "CHANGE-REPL-ID")
            for client in chance.sample(model.clients, min(8, len(model.clients))):
                await model.come_back(history, client)
        for client in list(model.clients):
            await model.come_back(history, client)
    assert model.recovered > 20
    assert model.told > 0


async def test_more_forks_than_are_remembered_end_in_a_reload(server: Process, history: RedisHistory) -> None:
    model = Model()
    await model.publish(history, KEYS[0])
    first = model.clients[0]
    for _ in range(40):
        await debug(server, "CHANGE-REPL-ID")
        await model.publish(history, KEYS[0])
    assert (await history.since(KEYS[0], first.position, 100, 0)).publications is None
    for client in model.clients[-32:]:
        await model.come_back(history, client)


async def test_the_same_process_made_primary_again_is_another_line(tmp_path: Path) -> None:
    """A, B, and A again: `run_id` is the same, and what A acknowledged alone is lost."""
    servers = [Process(tmp_path), Process(tmp_path)]
    a, b = servers
    try:
        for server in servers:
            await asyncio.to_thread(server.start)
        one, two = (RedisHistory(Broker(f"redis://127.0.0.1:{server.port}")) for server in servers)
        await follow(b, a)
        model = Model()
        for _ in range(5):
            await model.publish(one, KEYS[0])
        await follow(b, a)
        kept = deepcopy(model.logs)
        await asyncio.to_thread(b.call, "REPLICAOF", "NO", "ONE")
        for _ in range(3):
            await model.publish(one, KEYS[0])
        model.logs = kept
        for client in list(model.clients):
            await model.come_back(two, client)
        await follow(a, b)
        await asyncio.to_thread(a.call, "REPLICAOF", "NO", "ONE")
        await model.publish(one, KEYS[0])
        for client in list(model.clients):
            await model.come_back(one, client)
        assert model.told == 6
        await one.close()
        await two.close()
    finally:
        for server in servers:
            server.kill()


async def test_a_loss_is_told_only_after_looking_where_the_primary_is(tmp_path: Path) -> None:
    """A process may not know yet that its primary was replaced. Publications that the old primary lacks are not lost."""
    servers = [Process(tmp_path), Process(tmp_path)]
    a, b = servers
    try:
        for server in servers:
            await asyncio.to_thread(server.start)
        late, soon = (Broker(f"redis://127.0.0.1:{server.port}") for server in servers)
        one, two = RedisHistory(late), RedisHistory(soon)
        await follow(b, a)
        model = Model()
        await model.publish(one, KEYS[0])
        await follow(b, a)
        await asyncio.to_thread(b.call, "REPLICAOF", "NO", "ONE")
        await model.publish(two, KEYS[0])
        newest = model.clients[-1]
        # As if sentinels had named A before, and name B now.
        late._has_others = True
        late.map._locate = soon.map._locate
        await model.come_back(one, newest)
        assert (model.recovered, model.told) == (1, 0)
        await one.close()
        await two.close()
    finally:
        for server in servers:
            server.kill()


async def debug(server: Process, *command: str) -> None:
    await asyncio.to_thread(server.call, "DEBUG", *command)


async def follow(replica: Process, primary: Process) -> None:
    """`replica` has all that `primary` has."""
    if (await asyncio.to_thread(replica.info))["role"] == "master":
        await asyncio.to_thread(replica.call, "REPLICAOF", "127.0.0.1", primary.port)
    async with asyncio.timeout(20):
        while True:
            info = await asyncio.to_thread(replica.info)
            top = (await asyncio.to_thread(primary.info))["master_repl_offset"]
            if info.get("master_link_status") == "up" and info.get("slave_repl_offset") == top:
                return
            await asyncio.sleep(0.02)
