"""One budget for what waits for all clients of a process."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime.sockets.backlogs import Backlogs


class Slow:
    def __init__(self, backlogs: Backlogs) -> None:
        self.backlogs = backlogs
        self.is_cut = False

    def holds(self, held_bytes: int) -> None:
        if not self.is_cut:
            self.backlogs.note(self, held_bytes)

    def cut(self) -> None:
        self.is_cut = True
        self.backlogs.note(self, 0)


def test_the_worst_are_cut_until_it_fits() -> None:
    backlogs = Backlogs(1000)
    small, large, larger = (Slow(backlogs) for _ in range(3))
    larger.holds(500)
    large.holds(400)
    small.holds(100)
    assert not any(each.is_cut for each in (small, large, larger))
    small.holds(101)
    assert (small.is_cut, large.is_cut, larger.is_cut) == (False, False, True)
    assert backlogs.total_bytes == 501


@pytest.mark.parametrize("limit_bytes", [0, 10**9])
def test_within_the_budget_nobody_is_cut(limit_bytes: int) -> None:
    backlogs = Backlogs(limit_bytes)
    crowd = [Slow(backlogs) for _ in range(50)]
    for each in crowd:
        each.holds(1_000_000)
    assert backlogs.total_bytes == 50_000_000
    for each in crowd:
        each.holds(0)
    assert (backlogs.total_bytes, backlogs._held) == (0, {})


@given(st.lists(st.tuples(st.integers(0, 7), st.integers(0, 600)), max_size=80))
def test_the_budget_holds_whatever_happens(steps: list[tuple[int, int]]) -> None:
    backlogs = Backlogs(1000)
    crowd = [Slow(backlogs) for _ in range(8)]
    for number, held_bytes in steps:
        crowd[number].holds(held_bytes)
        assert backlogs.total_bytes == sum(backlogs._held.values()) <= 1000
