"""Work on topics that threads asked for: in order on a topic, topics side by side, and bounded."""

import asyncio
from collections.abc import Callable, Coroutine

import pytest

from realtime.core.topics import TopicKey
from realtime.node import topic_order as module
from realtime.node.topic_order import TopicOrder
from realtime.protocol.errors import PublishUnavailableError
from tests.realtime.followers import settle

A, B = TopicKey("acme", "a"), TopicKey("acme", "b")
OTHERS = TopicKey("globex", "a")


class Works:
    """Pieces of work that end when they are told to. `begun` has their names."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.ends: dict[str, asyncio.Event] = {}

    def of(self, name: str) -> Callable[[], Coroutine[None, None, str]]:
        end = self.ends[name] = asyncio.Event()

        async def work() -> str:
            self.begun.append(name)
            await end.wait()
            return name

        return work


@pytest.fixture
def works() -> Works:
    return Works()


async def test_a_topic_that_hangs_holds_up_itself_only(works: Works) -> None:
    order = TopicOrder()
    async with asyncio.TaskGroup() as tasks:
        asked = [(A, "a1"), (A, "a2"), (B, "b1"), (A, "a3")]
        done = [tasks.create_task(order.run(key, works.of(name))) for key, name in asked]
        await settle()
        assert works.begun == ["a1", "b1"]
        done[1].cancel()
        works.ends["a1"].set()
        await settle()
        assert works.begun == ["a1", "b1", "a3"]
        for end in works.ends.values():
            end.set()
    assert [each.result() for each in done if not each.cancelled()] == ["a1", "b1", "a3"]
    await order.finish()


async def test_work_that_takes_too_long_leaves_the_turn(
    works: Works, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WORK_TIMEOUT_S", 0.1)
    order = TopicOrder()
    first, second = (asyncio.create_task(order.run(A, works.of(name))) for name in ("first", "second"))
    works.ends["second"].set()
    with pytest.raises(TimeoutError):
        await first
    assert await second == "second"


async def test_the_bytes_of_a_tenant_and_of_all_are_bounded(works: Works) -> None:
    size = 1000 + module.PUBLICATION_BYTES
    order = TopicOrder(tenant_max_bytes=2 * size, max_bytes=3 * size)

    def publish(key: TopicKey, name: str) -> "asyncio.Task[str]":
        return asyncio.create_task(order.publish(key, 1000, works.of(name)))

    tasks = [publish(A, "1"), publish(B, "2")]
    await settle()
    with pytest.raises(PublishUnavailableError, match="wait"):
        await publish(B, "3")
    tasks.append(publish(OTHERS, "4"))
    await settle()
    with pytest.raises(PublishUnavailableError, match="wait"):
        await publish(OTHERS, "5")
    assert works.begun == ["1", "2", "4"]
    for end in works.ends.values():
        end.set()
    await asyncio.gather(*tasks)
    last = publish(B, "6")
    works.ends["6"].set()
    assert await last == "6"


async def test_what_comes_after_waits_only_as_long_as_it_may(works: Works) -> None:
    order = TopicOrder()
    await order.after(A)
    running = asyncio.create_task(order.run(A, works.of("a")))
    await settle()
    await order.after(B)
    await order.after(A, at_most_s=0.001)
    later = asyncio.create_task(order.after(A))
    await settle()
    assert not later.done()
    works.ends["a"].set()
    await asyncio.gather(running, later)


async def test_the_end_waits_for_the_last_work(works: Works) -> None:
    order = TopicOrder()
    running = asyncio.create_task(order.run(A, works.of("a")))
    await settle()
    await order.finish(0.001)
    end = asyncio.create_task(order.finish(10))
    await settle()
    assert not end.done()
    works.ends["a"].set()
    await asyncio.gather(running, end)
