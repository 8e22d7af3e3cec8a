"""Work of one kind takes the loop in slices, and lets others in between."""

import asyncio
from time import perf_counter

from realtime.node.joining import LoopShare

SLICE_S = 0.002
WORK_S = 0.0005


async def test_a_crowd_lets_others_have_their_turn() -> None:
    share, order = LoopShare(SLICE_S), []

    async def work(number: int) -> None:
        await share.turn()
        until_s = perf_counter() + WORK_S
        while perf_counter() < until_s:
            pass
        order.append(number)

    async def others() -> None:
        while len(order) < 40:
            order_at = len(order)
            turns.append(order_at)
            await asyncio.sleep(0)

    turns: list[int] = []
    await asyncio.gather(*(work(number) for number in range(40)), others())
    assert order == list(range(40))
    # All at once, the others would have had no turn between the first and the last.
    assert len({each for each in turns if 0 < each < 40}) >= 5


async def test_one_alone_does_not_wait() -> None:
    share = LoopShare(SLICE_S)
    waiting = share.turn()
    try:
        waiting.send(None)
    except StopIteration:
        return
    raise AssertionError("It waited.")
