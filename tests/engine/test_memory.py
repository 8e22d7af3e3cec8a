"""The bounds of the engine in memory."""

from realtime.core.history import Position
from realtime.engine.memory import MemoryBus, MemoryHistory
from realtime.engine.ports import Draft, Retention, TopicKey
from tests.engine.conftest import Node

RETENTION = Retention(10, 10)


def topic(number: int) -> TopicKey:
    return TopicKey("acme", f"t{number}")


def draft(number: int, once: str | None = None) -> Draft:
    return Draft(number, None, "", once)


async def test_beyond_its_bound_the_longest_unused_topic_is_forgotten() -> None:
    history = MemoryHistory(max_topics=3)
    first = await history.add(topic(0), draft(0), RETENTION)
    kept = [await history.add(topic(number), draft(number), RETENTION) for number in (1, 2)]
    await history.position(topic(1))
    await history.add(topic(3), draft(3), RETENTION)
    assert (await history.since(topic(1), kept[0].position, 1)).publications == []
    assert (await history.since(topic(2), kept[1].position, 1)).publications == []
    page = await history.since(topic(0), first.position, 1)
    assert page.publications is None
    assert page.position.epoch != first.position.epoch
    assert len(history._topics) == 3


async def test_idle_topics_do_not_keep_what_is_too_old() -> None:
    now_s = 0.0
    history = MemoryHistory(clock=lambda: now_s)
    for number in range(100):
        await history.add(topic(number), draft(number, "k"), RETENTION)
    now_s = 20.0
    for number in range(50):
        await history.add(topic(1000), draft(number), RETENTION)
    assert sum(not each.is_empty for each in history._topics.values()) == 1
    assert list(history._filled) == [topic(1000)]
    assert await history.position(topic(7)) == Position(history._topics[topic(7)].epoch, 1)


async def test_idempotency_keys_are_bounded_and_expire() -> None:
    now_s = 0.0
    history = MemoryHistory(max_idempotency_keys=10, clock=lambda: now_s)
    for number in range(30):
        await history.add(topic(0), draft(number, f"k{number}"), RETENTION)
    assert len(history._used) == 10
    assert (await history.add(topic(0), draft(29, "k29"), RETENTION)).publication is None
    assert (await history.add(topic(0), draft(0, "k0"), RETENTION)).publication is not None
    now_s = 300.0
    await history.add(topic(0), draft(1), RETENTION)
    assert not history._used


async def test_a_bus_alone_hears_only_itself() -> None:
    one, other = Node(MemoryBus()), Node(MemoryBus())
    for node in (one, other):
        await node.bus.start(node.receive)
        await node.bus.join("g")
    await one.bus.send("g", b"x")
    assert one.received == []
    assert await one.receives(1) == [("g", b"x")]
    assert other.received == []
