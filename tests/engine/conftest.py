"""Every engine behind one face, so that one contract suite runs over all of them."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterator
from typing import Protocol

import pytest
from redis.asyncio import Redis

from realtime.testing.broker import Broker as KitBroker
from realtime.topics.engine.broker import Broker
from realtime.topics.engine.broker_bus import BrokerBus
from realtime.topics.engine.memory import Budgets, MemoryBus, MemoryExchange, MemoryHistory
from realtime.topics.engine.ports import Bus, History
from realtime.topics.engine.redis_history import RedisHistory
from tests.servers.broker import Process
from tests.servers.tools import find_redis

# Long beside what a real server needs for a test's calls, short enough to wait for.
IDEMPOTENCY_TTL_S = 1.0
TOPIC_BYTES = 4 * 1024 * 1024


class Engine(Protocol):
    """One engine under test."""

    def history(self, *, topic_bytes: int = TOPIC_BYTES) -> History:
        """What a node uses; all nodes share what is stored."""
        ...

    def bus(self) -> Bus:
        """A bus of one more node."""
        ...

    async def let_pass(self, seconds: float) -> None:
        """Time goes by."""
        ...

    async def lose_everything(self) -> None:
        """The store comes up empty."""
        ...


class MemoryEngine:
    """The engine of one process."""

    def __init__(self) -> None:
        self.now_s = 1000.0
        self.exchange = MemoryExchange()
        self._history: MemoryHistory | None = None

    def history(self, *, topic_bytes: int = TOPIC_BYTES) -> History:
        return self.memory(topic_bytes=topic_bytes)

    def memory(self, *, topic_bytes: int = TOPIC_BYTES) -> MemoryHistory:
        if self._history is None:
            self._history = MemoryHistory(
                Budgets(topic_bytes=topic_bytes),
                clock=lambda: self.now_s,
                idempotency_ttl_s=IDEMPOTENCY_TTL_S,
            )
        return self._history

    def bus(self) -> Bus:
        return MemoryBus(self.exchange)

    async def let_pass(self, seconds: float) -> None:
        self.now_s += seconds
        if self._history is not None:
            self._history.sweep(self.now_s)

    async def lose_everything(self) -> None:
        if self._history is not None:
            await self._history.close()


class KitEngine(MemoryEngine):
    """The engine of the test kit, for several nodes in one process."""

    def __init__(self) -> None:
        super().__init__()
        self.exchange: KitBroker = KitBroker()

    def history(self, *, topic_bytes: int = TOPIC_BYTES) -> History:
        self.exchange.history = self.memory(topic_bytes=topic_bytes)
        return self.exchange.store(MemoryBus(self.exchange))


class RedisEngine:
    """The engine on a real Valkey, under a prefix of the test's own."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.prefix = f"test-{uuid.uuid4().hex[:8]}"
        self._brokers: list[Broker] = []

    def broker(self) -> Broker:
        broker = Broker(self.url, prefix=self.prefix)
        self._brokers.append(broker)
        return broker

    def history(self, *, topic_bytes: int = TOPIC_BYTES) -> RedisHistory:
        return RedisHistory(self.broker(), topic_bytes=topic_bytes, idempotency_ttl_s=IDEMPOTENCY_TTL_S)

    def bus(self) -> BrokerBus:
        return BrokerBus(self.broker())

    async def let_pass(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def lose_everything(self) -> None:
        async with Redis.from_url(self.url) as redis:
            keys = [key async for key in redis.scan_iter(f"{self.prefix}:*")]
            if keys:
                await redis.delete(*keys)

    async def close(self) -> None:
        for broker in self._brokers:
            await broker.close()


# The fixtures that have the address of a server: a Valkey, and a Redis where there is one.
SERVERS = ["valkey_url", *(["redis_url"] if find_redis() else [])]


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """REDIS_URL of a Redis."""
    server = Process(tmp_path_factory.mktemp("redis"), program=find_redis())
    server.start()
    yield f"redis://127.0.0.1:{server.port}/0"
    server.kill()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """A server that can be made to lose its newest writes. Its data may be from another test: begin with FLUSHALL."""
    made = Process(tmp_path_factory.mktemp("server"), "--enable-debug-command", "local")
    try:
        made.start()
        yield made
    finally:
        made.kill()


@pytest.fixture(
    params=["memory", "kit", *(pytest.param(server, marks=pytest.mark.redis) for server in SERVERS)]
)
async def engine(request: pytest.FixtureRequest) -> AsyncIterator[Engine]:
    """Each engine in turn."""
    if request.param in {"memory", "kit"}:
        yield MemoryEngine() if request.param == "memory" else KitEngine()
        return
    redis_engine = RedisEngine(request.getfixturevalue(request.param))
    yield redis_engine
    await redis_engine.close()


class Node:
    """A bus and what it received."""

    def __init__(self, bus: Bus) -> None:
        self.bus = bus
        self.received: list[tuple[str, bytes]] = []
        self._arrived = asyncio.Event()

    def receive(self, group: str, body: bytes) -> None:
        self.received.append((group, body))
        self._arrived.set()

    async def receives(self, count: int, timeout_s: float = 10.0) -> list[tuple[str, bytes]]:
        """What was received, once it is `count` messages."""
        async with asyncio.timeout(timeout_s):
            while len(self.received) < count:
                self._arrived.clear()
                await self._arrived.wait()
        return self.received


@pytest.fixture
async def nodes(engine: Engine) -> AsyncIterator[tuple[Node, Node]]:
    """Two nodes of the engine, started."""
    pair = (Node(engine.bus()), Node(engine.bus()))
    for node in pair:
        await node.bus.start(node.receive)
    yield pair
    for node in pair:
        await node.bus.stop()
