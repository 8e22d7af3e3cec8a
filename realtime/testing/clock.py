"""Time that a test moves: timers, timeouts and expiries happen at once instead of after real seconds."""

import asyncio
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

# A step of the clock, in seconds, and the turns that the loop gets after it.
STEP_S = 0.05
TURNS = 10
NS_PER_S = 1_000_000_000
# The functions of `time` that this package reads the clock by.
READ = ("monotonic", "time", "time_ns")


class Clock:
    """The time of this package and of the running event loop: the real one, and what `advance` has added."""

    def __init__(self, settled: Callable[[], Any]) -> None:
        """`settled` is awaited after each step, so that work in threads takes no time of this clock."""
        self.ahead_s = 0.0
        self._settled = settled

    async def advance(self, seconds: float) -> None:
        """Let `seconds` pass, in steps of at most STEP_S, with everything that happens in them."""
        if seconds < 0:
            raise ValueError(f"Expected 0 or more seconds, received {seconds}.")
        end_s = self.ahead_s + seconds
        while self.ahead_s < end_s:
            self.ahead_s = min(self.ahead_s + STEP_S, end_s)
            await settle(TURNS)
            await self._settled()

    @contextmanager
    def ruling(self) -> Iterator["Clock"]:
        """Control the time of the running loop and of this package until the end of the block."""
        loop: Any = asyncio.get_running_loop()
        real = {name: getattr(time, name) for name in READ}
        moved: dict[str, Callable[[], float]] = {
            "monotonic": lambda: real["monotonic"]() + self.ahead_s,
            "time": lambda: real["time"]() + self.ahead_s,
            "time_ns": lambda: real["time_ns"]() + int(self.ahead_s * NS_PER_S),
        }
        own_time = loop.time
        loop.time = lambda: own_time() + self.ahead_s
        replaced = list(_readers(real))
        for module, name in replaced:
            setattr(module, name, moved[name])
        try:
            yield self
        finally:
            del loop.time
            for module, name in replaced:
                setattr(module, name, real[name])


async def settle(turns: int) -> None:
    """Run everything that is ready, and everything that becomes ready through it."""
    for _ in range(turns):
        await asyncio.sleep(0)


def _readers(real: dict[str, Any]) -> Iterator[tuple[Any, str]]:
    """Yield the names in modules of this package by which they read the clock."""
    for path, module in list(sys.modules.items()):
        if path.partition(".")[0] == "realtime" and module is not None:
            yield from ((module, name) for name in READ if vars(module).get(name) is real[name])
