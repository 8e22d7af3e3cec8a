"""Turns between sockets: what many of them send at once never holds the loop for long."""

import asyncio
from collections.abc import Callable
from time import perf_counter

from realtime.server.scheduler import HEAVY_S, TURNS_MAX_AWAITED, TURNS_MAX_S, Scheduler


def _busy(seconds: float) -> None:
    end_s = perf_counter() + seconds
    while perf_counter() < end_s:
        pass


class Passes:
    """Counts the passes of the loop, in its own callbacks."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.count = 0
        self._loop = loop
        self._count()

    def _count(self) -> None:
        self.count += 1
        self._loop.call_soon(self._count)


async def _run(turns: list[Callable[[], bool]]) -> list[int]:
    """Run these turns; the pass of the loop in which each came."""
    loop = asyncio.get_running_loop()
    scheduler, passes, done, came = Scheduler(loop), Passes(loop), asyncio.Event(), []

    def watched(turn: Callable[[], bool]) -> Callable[[], bool]:
        def take() -> bool:
            came.append(passes.count)
            if len(came) == len(turns):
                done.set()
            return turn()

        return take

    for turn in turns:
        scheduler.add(watched(turn))
    async with asyncio.timeout(10):
        await done.wait()
    return came


def _light() -> bool:
    return False


def _awaited() -> bool:
    return True


def _heavy() -> bool:
    _busy(HEAVY_S * 1.5)
    return False


async def test_short_turns_share_a_pass() -> None:
    assert len(set(await _run([_light] * 20))) == 1


async def test_a_heavy_turn_leaves_the_loop_as_long_to_others() -> None:
    loop = asyncio.get_running_loop()
    begun_s = loop.time()
    came = await _run([_heavy] * 8)
    assert len(set(came)) == 8
    assert loop.time() - begun_s > 7 * 2 * HEAVY_S * 1.5


async def test_many_turns_end_with_their_time() -> None:
    def some() -> bool:
        _busy(TURNS_MAX_S / 4)
        return False

    came = await _run([some] * 16)
    assert max(came.count(number) for number in set(came)) <= 4 + 1


async def test_what_is_left_to_be_awaited_is_bounded() -> None:
    came = await _run([_awaited] * (TURNS_MAX_AWAITED * 3))
    assert [came.count(number) for number in sorted(set(came))] == [TURNS_MAX_AWAITED] * 3


async def test_a_turn_that_fails_keeps_no_other_from_its_own() -> None:
    loop = asyncio.get_running_loop()
    failures: list[object] = []
    loop.set_exception_handler(lambda _, context: failures.append(context["exception"]))

    def fails() -> bool:
        raise ValueError("a turn")

    await _run([fails, _light, _light])
    assert [type(failure) for failure in failures] == [ValueError]
