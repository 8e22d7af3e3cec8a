"""Work on topics that threads asked for: in order on a topic, topics side by side, and bounded."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field

import pytest

from realtime.core.topics import TopicKey
from realtime.node import topic_order as module
from realtime.node.topic_order import TopicOrder
from realtime.protocol.errors import PublishUnavailableError
from tests.realtime.followers import settle

A, B, C = TopicKey("acme", "a"), TopicKey("acme", "b"), TopicKey("acme", "c")
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


@dataclass
class Order:
    """A TopicOrder whose bounds hold a few pieces of work, and the task of each piece."""

    order: TopicOrder
    works: Works
    tasks: dict[str, asyncio.Task[str]] = field(default_factory=dict)

    def ask(self, *asked: tuple[TopicKey, str]) -> None:
        for key, name in asked:
            work = self.order.run(key, self.works.of(name), size_bytes=SIZE_BYTES)
            self.tasks[name] = asyncio.create_task(work)

    async def refused(self) -> list[str]:
        """Return the names of the work that was refused since the last call."""
        await settle()
        over = {name: task for name, task in self.tasks.items() if task.done()}
        for name, task in over.items():
            del self.tasks[name]
            with pytest.raises(PublishUnavailableError, match="Too much waits"):
                task.result()
        return list(over)

    async def end(self) -> list[str]:
        """Let all work end; return its names in the order in which it began."""
        for end in self.works.ends.values():
            end.set()
        assert await asyncio.gather(*self.tasks.values()) == list(self.tasks)
        self.tasks.clear()
        await self.order.finish()
        return self.works.begun


SIZE_BYTES = 1000


def order_of(works: Works, *, tenant_max: int = 0, max_: int = 0) -> Order:
    size = SIZE_BYTES + module.WORK_BYTES
    return Order(TopicOrder(tenant_max_bytes=tenant_max * size, max_bytes=max_ * size), works)


async def test_the_bytes_of_a_tenant_are_bounded(works: Works) -> None:
    asked = order_of(works, tenant_max=2, max_=3)
    asked.ask((A, "1"), (B, "2"), (B, "3"), (OTHERS, "4"))
    assert await asked.refused() == ["3"]
    assert await asked.end() == ["1", "2", "4"]
    asked.ask((B, "5"))
    assert await asked.refused() == []
    assert await asked.end() == ["1", "2", "4", "5"]


async def test_the_work_without_data_of_a_tenant_is_bounded(works: Works) -> None:
    order = TopicOrder(tenant_max_bytes=2 * module.WORK_BYTES)
    tasks = [asyncio.create_task(order.run(A, works.of(name))) for name in ("1", "2", "3")]
    await settle()
    with pytest.raises(PublishUnavailableError):
        await tasks.pop()
    for end in works.ends.values():
        end.set()
    assert await asyncio.gather(*tasks) == ["1", "2"]


async def test_a_tenant_that_waits_for_much_gives_room_to_others(works: Works) -> None:
    asked = order_of(works, max_=4)
    asked.ask((A, "a1"), (A, "a2"), (A, "a3"), (A, "a4"))
    assert await asked.refused() == []
    asked.ask((OTHERS, "o1"), (OTHERS, "o2"))
    assert await asked.refused() == ["a3", "a4"]
    asked.ask((OTHERS, "o3"), (A, "a5"))
    assert await asked.refused() == ["o3", "a5"]
    assert await asked.end() == ["a1", "o1", "a2", "o2"]


async def test_work_that_has_begun_gives_room_too_and_nobody_knows_what_became_of_it(works: Works) -> None:
    asked = order_of(works, max_=2)
    asked.ask((A, "a1"), (B, "b1"))
    await settle()
    asked.ask((OTHERS, "o1"))
    with pytest.raises(TimeoutError):
        await asked.tasks.pop("b1")
    assert await asked.end() == ["a1", "b1", "o1"]


async def test_work_that_is_refused_as_its_turn_comes_does_not_begin(works: Works) -> None:
    asked = order_of(works, max_=4)
    asked.ask((B, "b1"), (C, "c1"), (A, "a1"), (A, "a2"))
    await settle()
    works.ends["a1"].set()
    asked.ask((OTHERS, "o1"), (OTHERS, "o2"))
    await settle()
    assert await asked.tasks.pop("a1") == "a1"
    assert await asked.refused() == ["a2"]
    assert await asked.end() == ["b1", "c1", "a1", "o1", "o2"]


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
