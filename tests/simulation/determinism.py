"""Makes a process repeatable: its time, its randomness and its hashes follow the seed.

`install` comes before the project is imported, so that `from time import monotonic` and a clock that is the default
of an argument are the fake clock too. It cannot be undone: the simulator has a process of its own.
"""

import os
import random
import secrets
import sys
import time

# 2026-01-01T00:00:00Z: where every world begins.
EPOCH_S = 1_767_225_600
HASH_SEED = "0"

real_time_s = time.perf_counter


class Clock:
    """The time of the world that runs, in seconds since it began. `cost_s` is what a look at the clock costs:
    above 0 the processor is slow, and work that watches the time runs out of it."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.cost_s = 0.0

    def reset(self) -> None:
        """A new world begins."""
        self.now_s = 0.0
        self.cost_s = 0.0

    def monotonic(self) -> float:
        """As `time.monotonic`."""
        self.now_s += self.cost_s
        return self.now_s

    def time(self) -> float:
        """As `time.time`."""
        return EPOCH_S + self.now_s

    def time_ns(self) -> int:
        """As `time.time_ns`."""
        return EPOCH_S * 1_000_000_000 + int(self.now_s * 1_000_000_000)


CLOCK = Clock()


def require_fixed_hashes() -> None:
    """Start the process again where the order of sets would differ from run to run. Called by `__main__` only."""
    if os.environ.get("PYTHONHASHSEED") != HASH_SEED:
        os.environ["PYTHONHASHSEED"] = HASH_SEED
        os.execv(sys.executable, [sys.executable, "-m", "tests.simulation", *sys.argv[1:]])


def _randbelow(exclusive_upper_bound: int) -> int:
    return random.randrange(exclusive_upper_bound)


def require_early() -> None:
    """Raise RuntimeError if a part of the project is imported already: it would keep the real clock."""
    if early := sorted(name for name in sys.modules if name.partition(".")[0] == "realtime"):
        raise RuntimeError(f"Imported before the fake clock was installed: {', '.join(early)}")


def install() -> None:
    """Put the fake clock and the seeded randomness in the place of the real ones. Before the project is imported."""
    require_early()
    time.monotonic = CLOCK.monotonic
    time.time = CLOCK.time
    time.time_ns = CLOCK.time_ns
    os.urandom = random.randbytes
    # Of SystemRandom.
    random._urandom = random.randbytes  # type: ignore[attr-defined]
    secrets.token_bytes = lambda nbytes=None: random.randbytes(nbytes or 32)
    secrets.token_hex = lambda nbytes=None: random.randbytes(nbytes or 32).hex()
    secrets.token_urlsafe = secrets.token_hex
    secrets.randbelow = _randbelow


def begin(seed: int) -> None:
    """A new world: time at 0, and what the project draws at random follows the seed."""
    CLOCK.reset()
    random.seed(seed)
