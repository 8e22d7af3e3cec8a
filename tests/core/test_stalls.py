"""Stalls: judged by marks, with a clock that is an argument."""

from realtime.core.stalled import Stalls


def test_the_same_mark_for_too_long() -> None:
    stalls: Stalls[str] = Stalls(10)
    assert stalls.look({"a": 1, "b": 1}, 0) == []
    assert stalls.look({"a": 1, "b": 2}, 9.9) == []
    assert stalls.look({"a": 1, "b": 2}, 10) == ["a"]
    assert stalls.look({"a": 1, "b": 2}, 20) == ["a", "b"]


def test_progress_and_rest_begin_anew() -> None:
    stalls: Stalls[str] = Stalls(10)
    stalls.look({"a": 1, "b": 1}, 0)
    stalls.look({"b": 2}, 9)
    assert stalls.look({"a": 1, "b": 1}, 12) == []
    assert stalls.look({"a": 1, "b": 1}, 22) == ["a", "b"]
    stalls.look({}, 23)
    assert stalls._since == {}
