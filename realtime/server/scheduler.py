"""Shares the event loop between sockets that have more than one short message waiting.

A client that sends one message and waits for the answer is not affected: its message is handled on arrival.
"""

import asyncio
import sys
from collections import deque
from collections.abc import Callable
from time import perf_counter

# Seconds of turns in one pass of the loop; then the loop does other work. A single message may take longer:
# about 4 ms at the size limit of JSON endpoints (docs/guarantees.md).
TURNS_MAX_S = 0.002
# After a turn that takes at least this long, the loop is free for other work for the same time. So such turns
# take at most half of the loop's time, no matter which client causes them.
HEAVY_S = 0.001
# Turns in one pass that leave an awaitable. The cost of awaiting it comes later and is not measured here.
TURNS_MAX_AWAITED = 4
# Seconds that a running thread may keep the interpreter lock while others wait. Python's default is 5 ms. A
# database statement takes the lock several times, so with the default it waits long behind a busy event loop.
SWITCH_INTERVAL_S = 0.0003


class Scheduler:
    """Runs the requested turns in order, a limited number of them in each pass of the loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: deque[Callable[[], bool]] = deque()
        self._is_due = False

    def add(self, turn: Callable[[], bool]) -> None:
        """Call `turn` once, soon. It returns whether it has left an awaitable."""
        self._waiting.append(turn)
        self._run_soon()

    def _run_soon(self, after_s: float = 0.0) -> None:
        if not self._is_due:
            self._is_due = True
            if after_s:
                self._loop.call_later(after_s, self._run)
            else:
                self._loop.call_soon(self._run)

    def _run(self) -> None:
        now_s = perf_counter()
        end_s = now_s + TURNS_MAX_S
        took_s = 0.0
        awaited = 0
        try:
            while self._waiting and awaited < TURNS_MAX_AWAITED and now_s < end_s and took_s < HEAVY_S:
                begun_s = now_s
                awaited += self._waiting.popleft()()
                now_s = perf_counter()
                took_s = now_s - begun_s
        finally:
            self._is_due = False
            if self._waiting:
                self._run_soon(took_s if took_s >= HEAVY_S else 0.0)


def shared_scheduler(server: object, loop: asyncio.AbstractEventLoop) -> Scheduler:
    """Return the server's one Scheduler. It is kept on uvicorn's ServerState, which all protocols share.

    The first call also sets the switch interval of the threads of this process.
    """
    shared: dict[str, Scheduler] = vars(server)
    if "scheduler" not in shared:
        sys.setswitchinterval(SWITCH_INTERVAL_S)
        shared["scheduler"] = Scheduler(loop)
    return shared["scheduler"]
