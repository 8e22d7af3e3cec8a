"""Attempts of which only some may fail in a time."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from realtime.core.attempts import AttemptRule, AttemptTable, Verdict

RULE = AttemptRule(3, 60.0)
MAY = Verdict(may_begin=True)


@pytest.fixture
def table() -> AttemptTable:
    return AttemptTable(RULE, keys_max=100)


def test_as_many_as_the_limit_may_be_under_way(table: AttemptTable) -> None:
    assert [table.take("a", token, 0.0) for token in "123"] == [MAY] * 3
    assert table.take("a", "4", 1.0) == Verdict(may_begin=False)
    assert table.take("b", "4", 1.0) == MAY
    table.free("a", "2")
    assert table.take("a", "4", 1.0) == MAY


def test_an_attempt_that_is_asked_for_again_is_the_same(table: AttemptTable) -> None:
    assert [table.take("a", token, 0.0) for token in "1122331"] == [MAY] * 7
    assert not table.take("a", "4", 0.0).may_begin


def test_the_first_failure_says_how_long_to_wait(table: AttemptTable) -> None:
    for at_s, token in enumerate("123"):
        assert table.take("a", token, float(at_s)) == MAY
        table.fail("a", token, float(at_s))
    assert table.take("a", "4", 10.0) == Verdict(False, 3, 50.0)
    assert not table.take("a", "4", 59.9).may_begin
    assert table.take("a", "4", 60.0) == MAY


def test_a_failure_counts_from_its_end_on_also_after_the_window(table: AttemptTable) -> None:
    assert table.take("a", "1", 0.0) == MAY
    table.fail("a", "1", 70.0)
    assert [table.take("a", token, 80.0).may_begin for token in "234"] == [True, True, False]


def test_the_key_that_was_used_least_recently_is_forgotten() -> None:
    table = AttemptTable(AttemptRule(1, 60.0), keys_max=2)
    for key in ("a", "b", "a", "c"):
        table.take(key, "1", 0.0)
    assert not table.take("a", "2", 1.0).may_begin
    assert table.take("b", "2", 1.0) == MAY
    assert len(table) == 2


def test_what_was_right_leaves_nothing(table: AttemptTable) -> None:
    table.take("a", "1", 0.0)
    table.free("a", "1")
    table.free("a", "1")
    assert len(table) == 0


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["take", "fail"]), st.floats(0, 30)), max_size=60))
def test_no_more_than_the_limit_fail_in_a_window(steps: list[tuple[str, float]]) -> None:
    table, now_s, failed = AttemptTable(RULE, keys_max=10), 0.0, list[float]()
    open_: list[str] = []
    for number, (what, pause_s) in enumerate(steps):
        now_s += pause_s
        if what == "take":
            if table.take("a", str(number), now_s).may_begin:
                open_.append(str(number))
        elif open_:
            table.fail("a", open_.pop(), now_s)
            failed.append(now_s)
    for at_s in failed:
        # Attempts that ended later than a window after they began are counted once more.
        assert sum(at_s <= each < at_s + RULE.window_s for each in failed) <= 2 * RULE.limit
