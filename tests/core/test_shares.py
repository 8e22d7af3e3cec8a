"""Who holds the most, against looking at all."""

from hypothesis import given
from hypothesis import strategies as st

from realtime.core import shares
from realtime.core.shares import Shares

CHANGES = st.lists(st.tuples(st.integers(0, 8), st.integers(0, 100)), max_size=200)


@given(CHANGES, st.sampled_from([1, 7]), st.sampled_from([1, 3, 1000]))
def test_the_largest_is_the_largest(changes: list[tuple[int, int]], step: int, every: int) -> None:
    held: Shares[int] = Shares(step)
    truth: dict[int, int] = {}
    for count, (name, amount) in enumerate(changes):
        held.set(name, amount)
        truth[name] = amount
        assert held.total == sum(truth.values())
        assert held[name] == amount
        if count % every == 0:
            largest = held.largest()
            most = max(truth.values())
            assert (largest is None) == (most == 0)
            assert largest is None or truth[largest] // step == most // step


def test_names_that_come_and_go_leave_nothing() -> None:
    held: Shares[str] = Shares()
    for number in range(20_000):
        held.set(f"n{number}", 1 + number % 3)
        held.set(f"n{number}", 0)
    assert held.total == len(held) == 0
    assert len(held._heap) <= shares.MAX_OUTDATED + 2
    assert len(held._listed) <= shares.MAX_OUTDATED + 2
    assert held.largest() is None
