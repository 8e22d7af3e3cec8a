"""Who is alive, by beats and silence."""

from realtime.core.figures import Figures, RouteFigures
from realtime.core.liveness import Nodes, NodeState


def state(node: str, connections: int = 0) -> NodeState:
    figures = Figures(routes=[RouteFigures("acme", "/ws/", active=connections)])
    return NodeState(node, "2026-01-01T00:00:00Z", figures)


def test_a_node_is_new_once() -> None:
    nodes = Nodes("me", 2)
    assert nodes.heard(state("me"), 0)
    assert nodes.heard(state("b"), 0)
    assert not nodes.heard(state("b", connections=3), 1)
    assert nodes.states() == [state("b", connections=3), state("me")]
    assert nodes.knows("b")
    assert not nodes.knows("c")


def test_three_silent_beats_end_a_node() -> None:
    nodes = Nodes("me", 2)
    nodes.heard(state("b"), 0)
    for now_s in (0, 2, 4, 6):
        nodes.heard(state("me"), now_s)
        assert nodes.drop_silent(now_s) == []
    nodes.heard(state("me"), 8)
    assert nodes.drop_silent(8) == [(state("b"), 0)]
    assert nodes.drop_silent(8) == []
    assert nodes.states() == [state("me")]
    assert nodes.heard(state("b"), 9)


def test_who_does_not_hear_itself_judges_nobody() -> None:
    nodes = Nodes("me", 2)
    nodes.heard(state("me"), 0)
    nodes.heard(state("b"), 0)
    assert nodes.drop_silent(1000) == []
    nodes.heard(state("me"), 1000)
    assert nodes.drop_silent(1000) == []
    for now_s in (1002, 1004, 1006):
        nodes.heard(state("me"), now_s)
        assert nodes.drop_silent(now_s) == []
    nodes.heard(state("me"), 1008)
    assert nodes.drop_silent(1008) == [(state("b"), 1000)]


def test_what_was_heard_before_a_deaf_time_is_not_current() -> None:
    nodes = Nodes("me", 2)
    nodes.heard(state("me"), 0)
    nodes.heard(state("b"), 0)
    assert nodes.current(4) == {"me", "b"}
    assert nodes.current(5) == set()
    nodes.heard(state("me"), 10)
    assert nodes.current(10) == {"me"}
    nodes.heard(state("b"), 11)
    assert nodes.current(11) == {"me", "b"}


def test_a_good_bye_needs_no_silence() -> None:
    nodes = Nodes("me", 2)
    nodes.heard(state("b"), 3)
    assert nodes.forget("b") == (state("b"), 3)
    assert nodes.forget("never heard") is None
    assert not nodes.knows("b")
