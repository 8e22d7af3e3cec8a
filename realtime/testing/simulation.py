"""`@simulate`: a test in many worlds, each with other delays, losses and orders, which follow from its seed."""

import inspect
import os
import random
import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import ExitStack, contextmanager
from functools import wraps
from typing import Any

from django.db import connections, transaction

from realtime.testing.clock import Times, replaced
from realtime.testing.database import Connections, own_connections, share
from realtime.testing.jobs import Jobs
from realtime.testing.loop import Manual, SimulatedLoop, abandon
from realtime.testing.worlds import World, WorldDatabase

WORLDS = 100
WORLDS_MAX = 100_000
# The environment variable that repeats one world.
SEED = "SEED"
PARAMETER = "world"
# The time at which every world begins: 2026-01-01, in seconds since 1970.
BEGIN_S = 1_767_225_600
NS_PER_S = 1_000_000_000

Test = Callable[..., Coroutine[Any, Any, None]]


def simulate(
    worlds: int = WORLDS, *, first_seed: int = 1, **settings: Any
) -> Callable[[Test], Callable[..., None]]:
    """Run an `async` test in `worlds` worlds, of the seeds from `first_seed` on. It gets a World as `world`.

    In a world the site runs on one to three nodes. Messages between them come late, twice or not at all, calls of the
    store and the database take time, and connections of followers are cut. Nothing waits for real time. If the test is
    in a transaction, each world begins with the rows that were there before. A failure names the seed;
    `SEED=17` in the environment repeats that world alone and prints its log. `settings` replace those of REALTIME.
    """
    if callable(worlds):
        raise TypeError("Write @simulate() or @simulate(worlds=300), with parentheses.")
    if not 0 < worlds <= WORLDS_MAX:
        raise ValueError(f"Expected 1 to {WORLDS_MAX} worlds, received {worlds}.")

    def decorate(test: Test) -> Callable[..., None]:
        signature = _signature_without_world(test)

        @wraps(test)
        def run(*args: Any, **kwargs: Any) -> None:
            given = _given_seed()
            seeds = range(first_seed, first_seed + worlds) if given is None else [given]
            time = _Time()
            with replaced(time.functions()):
                for seed in seeds:
                    world = _run(test, seed, time, settings, args, kwargs)
            if given is not None:
                sys.stdout.write("\n".join([f"World {given}:", *world.log, ""]))

        # For test runners that look for fixtures: `world` is none.
        vars(run)["__signature__"] = signature
        del vars(run)["__wrapped__"]
        return run

    return decorate


def _signature_without_world(test: Test) -> inspect.Signature:
    if not inspect.iscoroutinefunction(test):
        raise TypeError(f"Expected an `async def`, received {test!r}.")
    own = inspect.signature(test)
    kept = [each for name, each in own.parameters.items() if name != PARAMETER]
    if len(kept) == len(own.parameters):
        raise TypeError(f"{test.__qualname__} needs a parameter `{PARAMETER}`.")
    return own.replace(parameters=kept, return_annotation=None)


def _given_seed() -> int | None:
    text = os.environ.get(SEED, "")
    if not text:
        return None
    if not text.isdecimal():
        raise ValueError(f"Expected a whole number in the environment variable {SEED}, received {text!r}.")
    return int(text)


class _Time:
    """The time of the world that runs."""

    def __init__(self) -> None:
        self.clock = Manual()

    def functions(self) -> Times:
        """Return what this package reads the clock by."""
        return {
            "monotonic": lambda: self.clock.now_s,
            "time": lambda: BEGIN_S + self.clock.now_s,
            "time_ns": lambda: BEGIN_S * NS_PER_S + int(self.clock.now_s * NS_PER_S),
        }


def _run(
    test: Test, seed: int, time: _Time, settings: dict[str, Any], args: Any, kwargs: dict[str, Any]
) -> World:
    shared = own_connections()
    database = WorldDatabase(shared)
    world = World(seed, database)

    async def in_world(world: World) -> None:
        await test(*args, **kwargs, **{PARAMETER: world})

    try:
        _live(world.live(in_world, settings), seed, time, shared)
    except BaseException as error:
        note = (
            f"World {seed} failed. To repeat it alone, run this test with {SEED}={seed} in the environment."
        )
        error.add_note("\n".join([note, "The log of this world:", *world.log]))
        sys.stdout.write(f"{note}\n")
        raise
    return world


def _live(work: Coroutine[Any, Any, None], seed: int, time: _Time, shared: Connections) -> None:
    clock = time.clock = Manual()
    threads = Jobs(lambda: share(shared))
    loop = threads.loop = SimulatedLoop(clock, threads)
    try:
        with _seeded(seed), ExitStack() as rows:
            _keep_rows(rows)
            loop.run_until_complete(work)
    finally:
        abandon(loop)
        threads.close()


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Let all random numbers follow from the seed, also those of the system, by which nodes spread their work."""
    state, of_system = random.getstate(), random.SystemRandom.random
    random.seed(seed)
    setattr(random.SystemRandom, "random", lambda _self: random.random())  # noqa: B010,S311 a test; typed as final
    try:
        yield
    finally:
        setattr(random.SystemRandom, "random", of_system)  # noqa: B010 as above
        random.setstate(state)


def _keep_rows(rows: ExitStack) -> None:
    """Undo at the end of a world what it has written, where the test itself is in a transaction."""
    for connection in connections.all(initialized_only=True):
        if connection.in_atomic_block:
            block = transaction.atomic(using=connection.alias)
            # The code of the world is not in it: see `in_transaction`.
            setattr(block, "_from_testcase", True)  # noqa: B010 Django's mark, which no type has
            rows.enter_context(block)
            rows.callback(transaction.set_rollback, True, using=connection.alias)
