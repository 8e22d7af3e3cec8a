"""The figures that a worker gives of its `serve`, as scrapes read them."""

from types import SimpleNamespace
from typing import Any

import pytest

from realtime.core.figures import Figures, Place
from realtime.core.liveness import NodeState
from realtime.node.figures import Reporter


def figures(worker: int, received: float, *, is_broker_up: bool = True) -> Figures:
    gauges = {"broker_up": {"": float(is_broker_up)}}
    return Figures(Place("s", worker), counts={"cpu": {"": received}}, gauges=gauges)


class Node:
    """Worker 0 beside a worker 1. `current` are those whose beats come."""

    id = "a"
    is_started = True

    def __init__(self) -> None:
        self.current = {"a", "b"}
        self.gone = [Figures(Place("s", worker), counts={"cpu": {"": 1.0}}) for worker in (0, 1)]
        self.cluster = SimpleNamespace(current=lambda: self.current, ended=lambda: self.gone)

    def nodes(self) -> list[NodeState]:
        return [NodeState("a", "", figures(0, 10)), NodeState("b", "", figures(1, 20))]


@pytest.fixture
def reporter(monkeypatch: pytest.MonkeyPatch) -> Reporter:
    monkeypatch.setattr("realtime.node.figures.place_of_process", lambda _: Place("s", 0))
    node: Any = Node()
    made = Reporter(node)
    monkeypatch.setattr(made, "own", lambda: figures(0, 15, is_broker_up=False))
    return made


def counted(reporter: Reporter) -> dict[str, float]:
    return {worker: each.counts["cpu"][""] for worker, each in reporter.by_worker().items()}


def test_workers_are_told_of_as_of_their_last_beats(reporter: Reporter) -> None:
    assert counted(reporter) == {"0": 11, "1": 21}


def test_while_no_beats_come_a_worker_tells_of_itself(reporter: Reporter) -> None:
    node: Any = reporter._node
    node.current = set()
    assert counted(reporter) == {"0": 16}
    assert reporter.by_worker()["0"].gauges["broker_up"] == {"": 0.0}
    # The other one's last beat is from before.
    node.current = {"a"}
    assert counted(reporter) == {"0": 16}
