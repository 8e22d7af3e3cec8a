"""Turns between sockets for which more than one short message waits: the loop is never theirs for long.

A client that sends one message and waits for its answer has no part in this: its message is handed over when it comes.
"""

import asyncio
import sys
from collections import deque
from collections.abc import Callable
from time import perf_counter

# After this the loop does something else first. One message may take longer: 4 ms at the size limit of JSON endpoints.
TURNS_MAX_S = 0.002
# A message that took longer leaves the loop as long to everything else before the next turn: half of it at most is for
# such messages, whoever sends them.
HEAVY_S = 0.001
# Turns that have left something to be awaited: what that costs comes after the turns, and is not known to them.
TURNS_MAX_AWAITED = 4
# How long a thread that works, the loop's or one for the database, lets others wait for the interpreter. A statement
# takes it some ten times: with Python's 5 ms a message to the chat took 160 ms behind another tenant's floods, so 60.
SWITCH_INTERVAL_S = 0.0003


class Scheduler:
    """Gives those that asked their turns, in order, some of them in each pass of the loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: deque[Callable[[], bool]] = deque()
        self._is_due = False

    def add(self, turn: Callable[[], bool]) -> None:
        """Call `turn` soon, once; it says whether it has left something to be awaited."""
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
    """The scheduler of all sockets of `server`: kept on uvicorn's state of a server, the one thing that they share.

    With the first, the threads of this process take shorter turns too.
    """
    shared: dict[str, Scheduler] = vars(server)
    if "scheduler" not in shared:
        sys.setswitchinterval(SWITCH_INTERVAL_S)
        shared["scheduler"] = Scheduler(loop)
    return shared["scheduler"]
