"""The past of the figures, from the samples. Runs in the thread of a request, on its database connection."""

from math import ceil
from time import time
from typing import Any

from realtime.conf import RealtimeSettings
from realtime.core.health import strips_of
from realtime.core.points import POINTS_MAX, Selection, columns_of
from realtime.node import node as nodes
from realtime.node.sample_rows import COARSE_SAMPLES, FINE_RANGE_S, read
from realtime.node.sampler import INTERVAL_MIN_S

RANGE_MAX_S = 86_400
# Seconds of a strip of health, and of one cell in it.
DAY_S = 86_400
CELL_S = 600


def values_of(selection: Selection, range_s: float) -> dict[str, Any]:
    """Return `{step_s, since, until, at, values}`: Unix times, and the values of `core.points` by name at each of them."""
    until_s = time()
    step_s = _step_s(nodes.current_node().settings, range_s)
    at, values = columns_of(read(until_s - range_s, until_s, selection.tenant), selection, step_s)
    return {"step_s": step_s, "since": until_s - range_s, "until": until_s, "at": at, "values": values}


def health() -> dict[str, Any]:
    """Return `{since, until, cell_s, nodes}`: how each node was over the last day."""
    until_s = time()
    # Whole cells, so that the strip moves on by cells.
    until_s = ceil(until_s / CELL_S) * CELL_S
    since_s = until_s - DAY_S
    busy_lag_s = nodes.current_node().settings.LATENCY_OBJECTIVE_S
    strips = strips_of(
        read(since_s, until_s), since_s=since_s, until_s=until_s, cell_s=CELL_S, busy_lag_s=busy_lag_s
    )
    return {"since": since_s, "until": until_s, "cell_s": CELL_S, "nodes": strips}


def _step_s(settings: RealtimeSettings, range_s: float) -> float:
    """Return the seconds of a point: as many samples, or coarse samples, as make at most POINTS_MAX points."""
    unit_s = max(settings.SAMPLE_INTERVAL_S, INTERVAL_MIN_S) * (
        COARSE_SAMPLES if range_s > FINE_RANGE_S else 1
    )
    return ceil(range_s / POINTS_MAX / unit_s) * unit_s
