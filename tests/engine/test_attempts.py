"""Attempts that are counted at a broker: as in one process, and by each process while the broker is away."""

import asyncio
import logging
import random
import threading
import time
from collections.abc import AsyncIterator, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from realtime.conf import RealtimeSettings
from realtime.core.attempts import AttemptRule, AttemptTable, Verdict
from realtime.node import attempts as module
from realtime.node import node as nodes
from realtime.node.attempts import AttemptLimit, AttemptSlot
from realtime.node.node import Node
from realtime.topics import cluster
from realtime.topics.engine import subscriber
from realtime.topics.engine.broker import Broker
from realtime.topics.engine.broker_attempts import BrokerAttempts
from tests.engine.fake_server import FakeServer
from tests.realtime.site import SETTINGS

RULE = AttemptRule(3, 60.0)


@pytest.fixture
async def attempts(valkey_url: str) -> AsyncIterator[BrokerAttempts]:
    broker = Broker(valkey_url, prefix=f"attempts-{random.getrandbits(32):x}")
    yield BrokerAttempts(broker)
    await broker.close()


@pytest.mark.redis
async def test_the_broker_counts_as_a_process_does(attempts: BrokerAttempts) -> None:
    chance, table = random.Random(1), AttemptTable(RULE, keys_max=100)
    tokens = [str(number) for number in range(8)]
    for _ in range(300):
        key, token = chance.choice("ab"), chance.choice(tokens)
        match chance.choice(["take", "take", "take", "fail", "free", "free"]):
            case "take":
                here, there = table.take(key, token, 0.0), await attempts.take(RULE, key, token)
                assert (here.may_begin, here.failed) == (there.may_begin, there.failed)
                assert there.wait_s <= RULE.window_s
            case "fail":
                table.fail(key, token, 0.0)
                await attempts.fail(RULE, key, token)
            case "free":
                table.free(key, token)
                await attempts.free(key, token)


@pytest.mark.redis
async def test_the_window_ends_and_leaves_nothing(attempts: BrokerAttempts) -> None:
    rule = AttemptRule(1, 0.2)
    assert (await attempts.take(rule, "a", "1")).may_begin
    await attempts.fail(rule, "a", "1")
    verdict = await attempts.take(rule, "a", "2")
    assert verdict == Verdict(False, 1, verdict.wait_s)
    assert 0 < verdict.wait_s <= 0.2
    await asyncio.sleep(verdict.wait_s + 0.05)
    assert (await attempts.take(rule, "a", "2")).may_begin
    await attempts.free("a", "2")
    partition, name = attempts._broker.names.attempts("a")
    assert await attempts._broker.call(partition, "EXISTS", name) == 0


class Process:
    """A node that serves, on a loop in a thread, for callers in this one."""

    def __init__(self, url: str) -> None:
        self.node = Node(RealtimeSettings(**(SETTINGS | {"REDIS_URL": url})), tables=())
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)

    def start(self) -> None:
        self._thread.start()
        self._run(self.node.ensure_started())
        nodes.install(self.node)

    def stop(self) -> None:
        nodes.install(None)
        self._run(self.node.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _run(self, work: Any) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(20)


@pytest.fixture
def process(valkey_url: str) -> Iterator[Process]:
    made = Process(valkey_url)
    made.start()
    yield made
    made.stop()


@pytest.fixture
def silent_process(monkeypatch: pytest.MonkeyPatch) -> Iterator[Process]:
    """Its broker greets, and says nothing more."""
    # tests/engine/test_black_holes.py is about these waits.
    monkeypatch.setattr(subscriber, "OPEN_WAIT_S", 0.1)
    monkeypatch.setattr(cluster, "GOODBYE_S", 0.1)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    server = FakeServer(lambda command: b"")
    asyncio.run_coroutine_threadsafe(server.start(), loop).result(5)
    made = Process(server.url)
    made.start()
    yield made
    made.stop()
    asyncio.run_coroutine_threadsafe(server.stop(), loop).result(5)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


def take(limit: AttemptLimit, key: str) -> bool:
    return isinstance(limit.take(key), AttemptSlot)


@pytest.mark.redis
@pytest.mark.usefixtures("process")
def test_processes_count_together() -> None:
    key = f"name {random.getrandbits(64):x}"
    one, other = AttemptLimit("tries", RULE), AttemptLimit("tries", RULE)
    slots = [limit.take(key) for limit in (one, other, one)]
    assert not take(other, key)
    assert isinstance(slots[1], AttemptSlot)
    other.free(slots[1])
    slot = other.take(key)
    assert isinstance(slot, AttemptSlot)
    other.fail(slot)
    refused = one.take(key)
    assert isinstance(refused, Verdict)
    assert refused.failed == 1
    assert 0 < refused.wait_s <= RULE.window_s


@pytest.mark.usefixtures("silent_process")
def test_a_broker_that_hangs_is_waited_for_once(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BROKER_WAIT_S", 0.1)
    result, waits = module._result, list[Any]()

    def wait(future: Any) -> Any:
        waits.append(future)
        return result(future)

    monkeypatch.setattr(module, "_result", wait)
    limit = AttemptLimit("tries", RULE)
    with caplog.at_level(logging.INFO, module.__name__):
        assert [take(limit, "a") for _ in range(4)] == [True, True, True, False]
        slot = limit.take("b")
        assert isinstance(slot, AttemptSlot)
        limit.fail(slot)
        limit.free(slot)
    assert len(waits) == 1
    assert [each.getMessage() for each in caplog.records if each.name == module.__name__] == [
        "The broker cannot be reached (TimeoutError): each process counts tries by itself"
    ]


@pytest.mark.redis
@pytest.mark.usefixtures("process")
def test_the_broker_counts_again_when_it_is_back(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = f"name {random.getrandbits(64):x}"
    limit, other = AttemptLimit("tries", RULE), AttemptLimit("tries", RULE)
    limit._went_away(nodes.current_node().attempts.place(key), TimeoutError())  # type: ignore[union-attr]
    # Counted here.
    assert take(limit, key)
    monkeypatch.setattr(
        module, "time", SimpleNamespace(monotonic=lambda: time.monotonic() + module.BROKER_RETRY_S)
    )
    with caplog.at_level(logging.INFO, module.__name__):
        assert take(limit, key)
    assert "The broker is back: tries are counted for all processes again" in caplog.text
    assert [take(other, key) for _ in range(3)] == [True, True, False]
    assert len(limit._away) == 0


def test_a_process_without_a_broker_counts_by_itself() -> None:
    limit = AttemptLimit("tries", RULE)
    assert [take(limit, "a") for _ in range(4)] == [True, True, True, False]
