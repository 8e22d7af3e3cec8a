"""The bounds of the engine in memory: by topic, by tenant, by process."""

import gc
import sys
import tracemalloc
from typing import Any

import msgspec
import pytest

from realtime.core.history import ENTRY_OVERHEAD_BYTES, Draft, Publisher
from realtime.core.position import Position
from realtime.core.topics import Retention, TopicKey
from realtime.topics.engine.drafts import make_draft
from realtime.topics.engine.memory import Budgets, MemoryBus, MemoryHistory
from tests.engine.conftest import Node

RETENTION = Retention(1000, 10)
CAROL = Publisher(3, "carol")
ALICE = Publisher(1, "alice")
ENTRY_BYTES = 1000


def topic(number: int, tenant: str = "acme") -> TopicKey:
    return TopicKey(tenant, f"t{number}")


def draft(data: Any, once: str | None = None, by: Publisher | None = None) -> Draft:
    return make_draft("t", data, by, time="", idempotency_key=once)


def entry() -> Draft:
    """It counts ENTRY_BYTES."""
    return draft("x" * (ENTRY_BYTES - ENTRY_OVERHEAD_BYTES - 2))


async def fill(history: MemoryHistory, tenant: str, count: int, *, topics: int = 1) -> None:
    for number in range(count):
        await history.add(topic(number % topics, tenant), entry(), RETENTION)


async def offsets(history: MemoryHistory, key: TopicKey) -> list[int]:
    page = await history.latest(key, 1000, 0)
    assert page.publications is not None
    return [each.offset for each in page.publications]


async def test_beyond_its_bound_a_tenants_longest_unused_topic_is_forgotten() -> None:
    history = MemoryHistory(Budgets(tenant_topics=3))
    first = await history.add(topic(0), draft(0), RETENTION)
    kept = [await history.add(topic(number), draft(number), RETENTION) for number in (1, 2)]
    other = await history.add(topic(0, "globex"), draft(0), RETENTION)
    await history.position(topic(1))
    await history.add(topic(3), draft(3), RETENTION)
    await history.add(topic(4), draft(3), RETENTION)
    assert (await history.since(topic(1), kept[0].position, 1, 0)).publications == []
    for gone, position in ((topic(0), first.position), (topic(2), kept[1].position)):
        page = await history.since(gone, position, 1, 0)
        assert page.publications is None
        assert page.position.epoch != position.epoch
    assert (await history.since(topic(0, "globex"), other.position, 1, 0)).publications == []


async def test_a_bound_of_0_is_switched_off() -> None:
    history = MemoryHistory(Budgets(0, 0, 0, 0, 0, 0, 0))
    for number in range(50):
        await history.add(topic(number), draft(number, "k"), RETENTION)
    for number in range(50):
        assert (await history.add(topic(number), draft(number, "k"), RETENTION)).publication is None
        assert await offsets(history, topic(number)) == [1]


async def test_beyond_a_tenants_bytes_its_oldest_go() -> None:
    history = MemoryHistory(Budgets(tenant_bytes=10 * ENTRY_BYTES))
    await fill(history, "globex", 5)
    await fill(history, "acme", 14, topics=2)
    assert await offsets(history, topic(0)) == [3, 4, 5, 6, 7]
    assert await offsets(history, topic(1)) == [3, 4, 5, 6, 7]
    assert await offsets(history, topic(0, "globex")) == [1, 2, 3, 4, 5]


async def test_beyond_the_process_bytes_the_largest_tenant_gives() -> None:
    history = MemoryHistory(Budgets(process_bytes=30 * ENTRY_BYTES))
    await fill(history, "globex", 5)
    await fill(history, "acme", 100)
    await fill(history, "globex", 5)
    assert await offsets(history, topic(0, "globex")) == list(range(1, 11))
    assert await offsets(history, topic(0)) == list(range(81, 101))
    await fill(history, "globex", 100)
    assert len(await offsets(history, topic(0, "globex"))) == len(await offsets(history, topic(0))) == 15


async def test_what_a_reader_found_too_old_is_not_taken_again() -> None:
    now_s = 0.0
    history = MemoryHistory(Budgets(process_bytes=30 * ENTRY_BYTES), clock=lambda: now_s)
    await fill(history, "globex", 20)
    now_s = 11.0
    assert await offsets(history, topic(0, "globex")) == []
    await fill(history, "acme", 40)
    assert await offsets(history, topic(0)) == list(range(11, 41))


async def test_beyond_the_process_topics_the_largest_tenant_gives() -> None:
    history = MemoryHistory(Budgets(process_topics=20))
    kept = await history.add(topic(0, "globex"), draft(0), RETENTION)
    for number in range(200):
        await history.add(topic(number), draft(0), RETENTION)
    assert (await history.since(topic(0, "globex"), kept.position, 1, 0)).publications == []
    known = [(await history.position(topic(number))).offset for number in range(200)]
    assert sum(known) == 19


async def test_reading_makes_no_topic_and_pushes_none_out() -> None:
    history = MemoryHistory(Budgets(tenant_topics=10))
    added = await history.add(topic(0), draft(0), RETENTION)
    for number in range(1, 100):
        for tenant in ("acme", "globex", "initech"):
            key = topic(number, tenant)
            position = await history.position(key)
            assert await history.positions([key, key]) == [position, position]
            assert (await history.since(key, position, 10, 0)).publications == []
            assert (await history.latest(key, 10, 0)).publications == []
    assert (await history.since(topic(0), Position(added.position.epoch, 0), 10, 0)).publications
    assert len(history._tenants) == 1
    assert len(history._tenants["acme"]) == 1


async def test_what_nobody_asks_for_is_swept_by_time() -> None:
    now_s = 0.0
    history = MemoryHistory(clock=lambda: now_s)
    for number in range(3000):
        await history.add(topic(number, f"tenant{number % 7}"), draft(number, "k"), RETENTION)
    held = list(history._tenants.values())
    assert sum(each.publications for each in held) == 3000
    now_s = 11.0
    for _ in range(20):
        history.sweep(now_s)
    assert sum(each.publications for each in held) == 0
    assert sum(each.size_bytes for each in held) == history._bytes.total == 0
    now_s = 301.0
    for _ in range(20):
        history.sweep(now_s)
    assert sum(len(each.used_keys) for each in held) == history._keys.total == 0
    assert (await history.position(topic(7, "tenant0"))).offset == 1


@pytest.mark.skipif(sys.gettrace() is not None, reason="a tracer, as coverage has, holds memory too")
async def test_publications_are_held_as_text() -> None:
    # Traced, a slow machine takes longer than the topic keeps its publications.
    history = MemoryHistory(clock=lambda: 0.0)
    text = "[" + ",".join(["[]"] * 20_000) + "]"
    gc.collect()
    tracemalloc.start()
    try:
        for _ in range(20):
            await history.add(topic(0), draft(msgspec.json.decode(text)), RETENTION)
        gc.collect()
        held_bytes, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert 20 * len(text) < held_bytes < 20 * len(text) * 1.1


async def test_a_sweep_does_a_bounded_amount() -> None:
    now_s = 0.0
    history = MemoryHistory(clock=lambda: now_s)
    for number in range(20_000):
        await history.add(topic(number % 10), draft(number), Retention(10_000, 10))
    (acme,) = history._tenants.values()
    before = acme.publications
    now_s = 11.0
    history.sweep(now_s)
    assert before - 5001 <= acme.publications < before


async def test_idempotency_keys_of_one_publisher_push_out_no_others() -> None:
    history = MemoryHistory(Budgets(tenant_idempotency_keys=100))
    assert (await history.add(topic(0), draft(1, "k", CAROL), RETENTION)).publication
    assert (await history.add(topic(0), draft(2, "k"), RETENTION)).publication
    for number in range(500):
        await history.add(topic(1), draft(number, f"k{number}"), RETENTION)
        await history.add(topic(1), draft(number, f"k{number}", ALICE), RETENTION)
    assert (await history.add(topic(0), draft(1, "k", CAROL), RETENTION)).publication is None
    assert (await history.add(topic(0), draft(2, "k"), RETENTION)).publication is not None
    assert len(history._tenants["acme"].used_keys) == 100


async def test_idempotency_keys_of_one_tenant_push_out_no_other_tenants() -> None:
    history = MemoryHistory(Budgets(process_idempotency_keys=100))
    kept = topic(0, "globex")
    for publisher in (None, CAROL):
        await history.add(kept, draft(1, "k", publisher), RETENTION)
    for number in range(500):
        await history.add(topic(1), draft(number, f"k{number}"), RETENTION)
    for publisher in (None, CAROL):
        assert (await history.add(kept, draft(1, "k", publisher), RETENTION)).publication is None


@pytest.mark.parametrize("tenants", [2, 300])
async def test_many_tenants_keep_the_bounds_of_the_process(tenants: int) -> None:
    budgets = Budgets(process_bytes=50 * ENTRY_BYTES, process_topics=40, process_idempotency_keys=30)
    history = MemoryHistory(budgets)
    for number in range(1200):
        key = topic(number % 5, f"tenant{number % tenants}")
        await history.add(key, draft("x" * 400, f"k{number}"), RETENTION)
        held = history._tenants.values()
        assert sum(each.size_bytes for each in held) <= budgets.process_bytes
        assert sum(len(each) for each in held) <= budgets.process_topics
        assert sum(len(each.used_keys) for each in held) <= budgets.process_idempotency_keys


async def test_a_bus_alone_hears_only_itself() -> None:
    one, other = Node(MemoryBus()), Node(MemoryBus())
    for node in (one, other):
        await node.bus.start(node.receive)
        await node.bus.join("g")
    await one.bus.send("g", b"x", to_self=True)
    await one.bus.send("g", b"y")
    assert one.received == []
    assert await one.receives(1) == [("g", b"x")]
    assert other.received == []
