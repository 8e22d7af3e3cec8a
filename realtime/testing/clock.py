"""Time that a test moves: timers, timeouts and expiries happen at once instead of after real seconds."""

import asyncio
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from inspect import isclass, isfunction
from typing import Any

# The least step of the clock, and the longest on a loop whose timers are not known, in seconds; and the turns that the
# loop gets after it.
LEAST_STEP_S = 0.001
STEP_S = 0.05
TURNS = 10
NS_PER_S = 1_000_000_000
# The functions of `time` that this package reads the clock by.
READ = ("monotonic", "time", "time_ns")
Times = Mapping[str, Callable[[], float]]


class Clock:
    """The time of this package and of the running event loop: the real one, and what `advance` has added."""

    def __init__(self, settled: Callable[[], Any]) -> None:
        """`settled` is awaited after each step, so that work in threads takes no time of this clock."""
        self.ahead_s = 0.0
        self._settled = settled

    async def advance(self, seconds: float) -> None:
        """Let `seconds` pass, from timer to timer, with everything that happens then."""
        if seconds < 0:
            raise ValueError(f"Expected 0 or more seconds, received {seconds}.")
        end_s = self.ahead_s + seconds
        while self.ahead_s < end_s:
            self.ahead_s = min(self.ahead_s + _until_timer_s(), end_s)
            await settle(TURNS)
            await self._settled()

    @contextmanager
    def ruling(self) -> Iterator["Clock"]:
        """Control the time of the running loop and of this package until the end of the block."""
        loop: Any = asyncio.get_running_loop()
        real_monotonic, real_time, real_time_ns, own_time = time.monotonic, time.time, time.time_ns, loop.time
        times: Times = {
            "monotonic": lambda: real_monotonic() + self.ahead_s,
            "time": lambda: real_time() + self.ahead_s,
            "time_ns": lambda: real_time_ns() + int(self.ahead_s * NS_PER_S),
        }
        loop.time = lambda: own_time() + self.ahead_s
        try:
            with replaced(times):
                yield self
        finally:
            del loop.time


def _until_timer_s() -> float:
    """Return the seconds until the next timer of the running loop."""
    loop = asyncio.get_running_loop()
    timers: list[asyncio.TimerHandle] | None = getattr(loop, "_scheduled", None)
    if not timers:
        return STEP_S
    return max(timers[0].when() - loop.time(), LEAST_STEP_S)


async def settle(turns: int) -> None:
    """Run everything that is ready, and everything that becomes ready through it."""
    for _ in range(turns):
        await asyncio.sleep(0)


@contextmanager
def replaced(times: Times) -> Iterator[None]:
    """Let this package read the clock by `times` until the end of the block, also where that is a default argument."""
    real = {getattr(time, name): moved for name, moved in times.items()}
    names = list(_names(real))
    defaults = list(_defaults(real))
    for module, name, was in names:
        setattr(module, name, real[was])
    for function, was_defaults in defaults:
        function.__kwdefaults__ = {name: _moved(real, value) for name, value in was_defaults.items()}
    try:
        yield
    finally:
        for module, name, was in names:
            setattr(module, name, was)
        for function, was_defaults in defaults:
            function.__kwdefaults__ = was_defaults


def _moved(real: Mapping[Any, Any], value: Any) -> Any:
    return real[value] if _is_clock(real, value) else value


def _is_clock(real: Mapping[Any, Any], value: Any) -> bool:
    return any(value is each for each in real)


def _modules() -> Iterator[Any]:
    for path, module in list(sys.modules.items()):
        if path.partition(".")[0] == "realtime" and module is not None:
            yield module


def _names(real: Mapping[Any, Any]) -> Iterator[tuple[Any, str, Any]]:
    """Yield the names in modules of this package by which they read the clock, with what they name."""
    for module in _modules():
        for name in READ:
            value = vars(module).get(name)
            if value is not None and _is_clock(real, value):
                yield module, name, value


def _defaults(real: Mapping[Any, Any]) -> Iterator[tuple[Any, dict[str, Any]]]:
    """Yield the constructors of this package that have a clock as a default argument, with their defaults."""
    for module in _modules():
        for kind in vars(module).values():
            if not isclass(kind) or kind.__module__ != module.__name__:
                continue
            made = vars(kind).get("__init__")
            defaults: dict[str, Any] = getattr(made, "__kwdefaults__", None) or {}
            if isfunction(made) and any(_is_clock(real, each) for each in defaults.values()):
                yield made, defaults
