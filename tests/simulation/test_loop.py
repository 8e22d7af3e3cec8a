"""The loop by itself: order, time, and that the usual tools of asyncio work on it."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from realtime.testing.loop import OWNER, Owner, StuckError, run


def test_callbacks_run_in_the_order_they_were_asked_for() -> None:
    async def world() -> list[int]:
        loop, order = asyncio.get_running_loop(), list[int]()
        loop.call_later(0, order.append, 3)
        loop.call_soon(order.append, 1)
        loop.call_later(0, order.append, 4)
        loop.call_soon(order.append, 2)
        loop.call_at(loop.time(), order.append, 5)
        await asyncio.sleep(0.001)
        return order

    assert run(world()) == [1, 2, 3, 4, 5]


def test_timers_of_one_moment_run_in_the_order_they_were_set() -> None:
    async def world() -> list[int]:
        loop, order = asyncio.get_running_loop(), list[int]()
        for number in range(50):
            loop.call_at(1.0, order.append, number)
        loop.call_at(0.5, order.append, -1)
        await asyncio.sleep(2)
        return order

    assert run(world()) == [-1, *range(50)]


def test_what_a_callback_asks_for_waits_for_the_next_turn() -> None:
    async def world() -> list[str]:
        loop, order = asyncio.get_running_loop(), list[str]()

        def first() -> None:
            order.append("first")
            loop.call_soon(order.append, "third")

        loop.call_soon(first)
        loop.call_soon(order.append, "second")
        await asyncio.sleep(0.001)
        return order

    assert run(world()) == ["first", "second", "third"]


def test_an_hour_takes_no_time() -> None:
    async def world() -> float:
        loop = asyncio.get_running_loop()
        await asyncio.sleep(3600)
        return loop.time()

    assert run(world()) == 3600


async def _timeout() -> bool:
    try:
        async with asyncio.timeout(1):
            await asyncio.Event().wait()
    except TimeoutError:
        return asyncio.get_running_loop().time() == 1
    return False


async def _cancelled_timer() -> bool:
    asyncio.get_running_loop().call_later(0.5, pytest.fail, "cancelled").cancel()
    await asyncio.sleep(1)
    return True


async def _shield() -> bool:
    inner = asyncio.create_task(asyncio.sleep(1, "done"))
    outer = asyncio.create_task(_wait_shielded(inner))
    await asyncio.sleep(0)
    outer.cancel()
    await asyncio.gather(outer, return_exceptions=True)
    return outer.cancelled() and await inner == "done"


async def _wait_shielded(inner: "asyncio.Task[str]") -> str:
    return await asyncio.shield(inner)


async def _gather() -> bool:
    results = await asyncio.gather(asyncio.sleep(2, "a"), asyncio.sleep(1, "b"))
    return list(results) == ["a", "b"] and asyncio.get_running_loop().time() == 2


async def _task_group() -> bool:
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(asyncio.sleep(9))
            group.create_task(_fail())
    except* ValueError:
        pass
    return asyncio.get_running_loop().time() == 0


async def _fail() -> None:
    raise ValueError


async def _event() -> bool:
    event = asyncio.Event()
    asyncio.get_running_loop().call_later(3, event.set)
    await event.wait()
    return asyncio.get_running_loop().time() == 3


async def _semaphore() -> bool:
    slots, order = asyncio.Semaphore(1), list[int]()

    async def use(number: int) -> None:
        async with slots:
            await asyncio.sleep(1)
            order.append(number)

    await asyncio.gather(*(use(number) for number in range(5)))
    return order == [0, 1, 2, 3, 4] and asyncio.get_running_loop().time() == 5


@pytest.mark.parametrize(
    "tool", [_timeout, _cancelled_timer, _shield, _gather, _task_group, _event, _semaphore]
)
def test_the_tools_of_asyncio_work(tool: Any) -> None:
    assert run(tool()) is True


def test_a_world_without_a_future_is_stuck() -> None:
    with pytest.raises(StuckError, match="no timer"):
        _stuck(asyncio.Event().wait())


def test_a_world_whose_time_stands_still_is_stuck() -> None:
    async def world() -> None:
        while True:  # noqa: ASYNC110 this is what is tried
            await asyncio.sleep(0)

    with pytest.raises(StuckError, match="stands still"):
        _stuck(world())


def _stuck(world: Coroutine[Any, Any, Any]) -> None:
    try:
        run(world)
    finally:
        world.close()


def test_threads_are_refused() -> None:
    async def world() -> None:
        await asyncio.to_thread(print)

    with pytest.raises(StuckError, match="no threads"):
        run(world())


def test_tasks_belong_to_whoever_created_them() -> None:
    owner = Owner("one")

    async def world() -> None:
        async def parent() -> None:
            asyncio.create_task(asyncio.sleep(1))  # noqa: RUF006 the owner keeps it
            asyncio.get_running_loop().call_soon(lambda: asyncio.create_task(_fail()))
            await asyncio.sleep(0.5)

        owner.run(lambda: asyncio.create_task(parent()))
        asyncio.create_task(asyncio.sleep(5))  # noqa: RUF006 nobody's
        await asyncio.sleep(0.7)
        assert len(owner.open_tasks()) == 1
        assert OWNER.get() is None

    run(world())
    (failure,) = owner.unseen_failures()
    assert isinstance(failure, ValueError)
