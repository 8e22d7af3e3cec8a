"""Makes a failing world smaller: what it fails without is left out."""

from collections.abc import Callable

from tests.simulation import faults
from tests.simulation.plan import FAILOVER_KINDS, WEIGHTS, Plan, make_plan

Fails = Callable[[Plan], bool]
# Worlds that are tried at most.
MAX_TRIES = 400


def shrink(seed: int, fails: Fails) -> Plan:
    """The smallest plan found that still fails."""
    off: frozenset[str] = frozenset()
    without: frozenset[int] = frozenset()
    tries = 0

    def still_fails(without: frozenset[int], off: frozenset[str]) -> bool:
        nonlocal tries
        tries += 1
        return tries <= MAX_TRIES and fails(make_plan(seed, without, off))

    for name in (*faults.NAMES, *WEIGHTS, *sorted(set(FAILOVER_KINDS))):
        if still_fails(without, off | {name}):
            off |= {name}
    numbers = [operation.number for operation in make_plan(seed, off=off).operations]
    size = max(len(numbers) // 2, 1)
    while True:
        for at in range(0, len(numbers), size):
            part = frozenset(numbers[at : at + size]) - without
            if part and still_fails(without | part, off):
                without |= part
        if size == 1:
            return make_plan(seed, without, off)
        size = max(size // 2, 1)
