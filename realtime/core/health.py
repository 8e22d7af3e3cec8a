"""The state of each node over a day, as a strip of cells."""

from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Any

from realtime.core.figures import Figures
from realtime.core.points import grouped
from realtime.core.samples import OTHER, Sample, together

# Nodes of a strip at most: those that were there last.
STRIPS_MAX = 24
# A limit that is filled this much makes a node busy.
BUSY_FILL = 0.9


class State(StrEnum):
    """The state of a node in a cell: one character, because a strip is a text."""

    UNKNOWN = "."  # no sample was written
    ABSENT = "-"
    GOOD = "o"
    BUSY = "b"
    DRAINING = "d"
    BROKER_AWAY = "x"


def strips_of(
    samples: Iterable[Sample], *, since_s: float, until_s: float, cell_s: float, busy_lag_s: float
) -> list[dict[str, Any]]:
    """Return `{node, worker, cells}` for each node, those that started last first.

    Each character of `cells` is the state in `cell_s` seconds from `since_s` on. A loop that was late by
    more than `busy_lag_s` seconds (0: never) makes a node busy.
    """
    count = max(round((until_s - since_s) / cell_s), 1)
    known: dict[int, Sample] = {}
    for group in grouped(samples, lambda sample: (sample.at_s - since_s) // cell_s):
        index = int((group[0].at_s - since_s) // cell_s)
        if 0 <= index < count:
            known[index] = together(group)
    nodes: dict[str, Figures] = {}
    for sample in known.values():
        nodes |= {node: figures for node, figures in sample.nodes.items() if figures.gauges and node != OTHER}
    newest = sorted(nodes, key=lambda node: _started_s(nodes[node]), reverse=True)[:STRIPS_MAX]
    return [
        {
            "node": node,
            "worker": nodes[node].place.worker,
            "cells": _cells(node, known, count, busy_lag_s),
        }
        for node in newest
    ]


def _cells(node: str, known: dict[int, Sample], count: int, busy_lag_s: float) -> str:
    states: Sequence[State] = [
        _state(known[index].nodes.get(node), busy_lag_s) if index in known else State.UNKNOWN
        for index in range(count)
    ]
    return "".join(states)


def _state(figures: Figures | None, busy_lag_s: float) -> State:
    if figures is None or not figures.gauges:
        return State.ABSENT
    gauges = figures.gauges
    if gauges.get("draining", {}).get("", 0.0):
        return State.DRAINING
    if gauges.get("broker_up", {}).get("", 1.0) == 0.0:
        return State.BROKER_AWAY
    lag_s = gauges.get("loop_lag", {}).get("max", 0.0)
    is_full = max(gauges.get("limit_fill", {}).values(), default=0.0) >= BUSY_FILL
    return State.BUSY if is_full or 0 < busy_lag_s < lag_s else State.GOOD


def _started_s(figures: Figures) -> float:
    return figures.gauges.get("start_time", {}).get("", 0.0)
