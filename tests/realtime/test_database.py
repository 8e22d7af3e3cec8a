"""The database threads: shares, turns, ends of waiting. The work here is a thread that waits."""

import asyncio
import threading
from collections.abc import AsyncIterator

import pytest
from django.core.exceptions import ImproperlyConfigured

from realtime.conf import load_settings
from realtime.core.slots import Owner
from realtime.node.database import Database
from realtime.protocol.errors import ErrorCode, RequestError

ALICE, CAROL = Owner("acme", 1), Owner("globex", 2)


class Gate:
    """Work that ends when it may."""

    def __init__(self) -> None:
        self.may_end = threading.Event()
        self.running = 0

    def work(self, result: int = 0) -> int:
        self.running += 1
        assert self.may_end.wait(10)
        return result


@pytest.fixture
async def gate() -> AsyncIterator[Gate]:
    made = Gate()
    yield made
    made.may_end.set()


async def settle() -> None:
    await asyncio.sleep(0.05)


async def test_one_user_keeps_nobody_else_waiting(gate: Gate) -> None:
    database = Database(8, 5.0)
    flood = [asyncio.create_task(database.run_for(ALICE, gate.work, number)) for number in range(200)]
    await settle()
    assert gate.running == 2
    assert await database.run_for(CAROL, lambda: "at once") == "at once"
    assert await database.run(lambda: "its own") == "its own"
    gate.may_end.set()
    assert await asyncio.gather(*flood) == list(range(200))
    await database.close()


async def test_too_much_waiting_is_refused_at_once(gate: Gate) -> None:
    database = Database(4, 5.0, waiting_max=10, waiting_per_tenant_max=3)
    flood = [asyncio.create_task(database.run_for(ALICE, gate.work)) for _ in range(4)]
    await settle()
    with pytest.raises(RequestError) as caught:
        await database.run_for(ALICE, gate.work)
    assert caught.value.code is ErrorCode.RATE_LIMITED
    assert caught.value.payload()["retryable"] is True
    assert await database.run_for(CAROL, lambda: 7) == 7
    gate.may_end.set()
    await asyncio.gather(*flood)
    await database.close()


async def test_waiting_ends_in_time(gate: Gate) -> None:
    database = Database(1, 0.05)
    running = asyncio.create_task(database.run_for(ALICE, gate.work))
    await settle()
    with pytest.raises(RequestError) as caught:
        await database.run_for(CAROL, gate.work)
    assert caught.value.code is ErrorCode.TIMEOUT
    gate.may_end.set()
    await running
    assert await database.run(lambda: 1) == 1
    await database.close()


async def test_a_wait_of_0_has_no_end(gate: Gate) -> None:
    database = Database(1, 0.0)
    running = asyncio.create_task(database.run_for(ALICE, gate.work))
    waiting = asyncio.create_task(database.run_for(CAROL, lambda: 3))
    await settle()
    assert not waiting.done()
    gate.may_end.set()
    await running
    assert await waiting == 3
    await database.close()


async def test_cancelled_callers_lose_no_slot(gate: Gate) -> None:
    database = Database(1, 5.0)
    running = asyncio.create_task(database.run_for(ALICE, gate.work))
    waiting = [asyncio.create_task(database.run_for(CAROL, gate.work)) for _ in range(3)]
    await settle()
    waiting[0].cancel()
    running.cancel()
    await settle()
    # Its thread goes on: nothing else has begun.
    assert gate.running == 1
    gate.may_end.set()
    assert await asyncio.gather(*waiting[1:]) == [0, 0]
    assert await database.run(lambda: 1) == 1
    await database.close()


async def test_cancelled_in_the_moment_its_turn_comes(gate: Gate) -> None:
    database = Database(1, 5.0)
    running = asyncio.create_task(database.run_for(ALICE, gate.work))
    waiting = asyncio.create_task(database.run_for(CAROL, gate.work))
    await settle()
    running.add_done_callback(lambda _: waiting.cancel())
    gate.may_end.set()
    await asyncio.wait([running, waiting])
    assert await database.run(lambda: 1) == 1
    await database.close()


async def test_its_turn_comes_in_the_moment_it_is_cancelled(
    gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = Database(1, 5.0)
    running = asyncio.create_task(database.run_for(ALICE, gate.work))
    waiting = [asyncio.create_task(database.run_for(CAROL, gate.work)) for _ in range(3)]
    await settle()
    slots = database._slots._slots
    leave = slots.leave

    def leave_late(owner: Owner) -> None:
        waiting[0].cancel()
        leave(owner)

    monkeypatch.setattr(slots, "leave", leave_late)
    gate.may_end.set()
    await asyncio.wait([running, *waiting], timeout=5)
    assert waiting[0].cancelled()
    assert [each.result() for each in (running, *waiting[1:])] == [0, 0, 0]
    assert await database.run(lambda: 1) == 1
    await database.close()


async def test_work_that_fails_gives_its_slot_back() -> None:
    database = Database(1, 5.0)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            await database.run_for(ALICE, lambda: 1 // 0)
    assert await database.run(lambda: 1) == 1
    await database.close()


def test_there_must_be_a_thread(settings: object) -> None:
    settings.REALTIME = settings.REALTIME | {"DATABASE_THREADS": 0}  # type: ignore[attr-defined]
    with pytest.raises(ImproperlyConfigured, match="DATABASE_THREADS must be 1 or more"):
        load_settings()


@pytest.mark.parametrize("end", [StopIteration("empty"), SystemExit(1)])
async def test_no_end_of_the_work_keeps_its_slot_or_ends_the_process(end: BaseException) -> None:
    def work() -> None:
        raise end

    database = Database(1, 1.0)
    with pytest.raises(RuntimeError, match=type(end).__name__):
        await asyncio.wait_for(database.run(work), 5)
    assert await database.run(lambda: "next") == "next"
    await database.close()
