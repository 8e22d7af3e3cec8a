"""The values that the charts of the live page show, computed from samples.

A value has a name: `messages_in`, `closed.4408`, `lag.<node>`. Counts become rates a second.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import groupby

import msgspec

from realtime.core.figures import BOUNDS_S, Figures, Histogram, RouteFigures
from realtime.core.samples import Sample, together

# Points that a chart shows at most.
POINTS_MAX = 300
QUANTILES = (50, 95, 99)
_MS_PER_S = 1000
# Digits of a value: enough for a chart, and short as text.
_DIGITS = 4
# The name of a rate, and of the count that it is computed from.
_RATES = {
    "opened": "opened_total",
    "messages_in": "messages_in",
    "messages_out": "messages_out",
    "bytes_in": "bytes_in",
    "bytes_out": "bytes_out",
    "dropped": "dropped",
}
_RATES_BY_LABEL = {"closed": "closed_by_code", "errors": "errors_by_code", "refused": "refused_by_status"}
# Counts of nodes: name, name in the figures.
_OF_NODES = {
    "slow_consumers": "slow_consumers",
    "pings_lost": "pings_lost",
    "gaps_repaired": "gaps_repaired",
    "recoveries": "recoveries",
    "http": "http_requests",
}
# Histograms of which percentiles are shown.
HISTOGRAMS = ("request", "delivery")

Point = dict[str, float]


class Selection(msgspec.Struct, frozen=True):
    """The part of the figures that is shown; None is all. `is_whole`: the figures of the processes, too."""

    tenant: str | None = None
    route: str | None = None
    node: str | None = None
    is_whole: bool = True

    def has(self, row: RouteFigures) -> bool:
        """Return whether a route belongs to it."""
        return self.tenant in {None, row.tenant} and self.route in {None, row.route}

    def figures(self, nodes: Mapping[str, Figures]) -> Mapping[str, Figures]:
        """Return the figures of the nodes that belong to it."""
        if self.node is None:
            return nodes
        return {node: figures for node, figures in nodes.items() if node == self.node}

    def rows(self, nodes: Mapping[str, Figures]) -> Iterator[RouteFigures]:
        """Yield the routes that belong to it."""
        for figures in self.figures(nodes).values():
            if self.tenant is None and self.route is None:
                yield from figures.routes
            else:
                yield from filter(self.has, figures.routes)


def point_of(sample: Sample, selection: Selection) -> Point:
    """Return the values of a sample. Without a time there are no rates."""
    point = point_of_rows(list(selection.rows(sample.nodes)), sample.span_s)
    if selection.is_whole:
        point |= point_of_processes(selection.figures(sample.nodes), sample.span_s)
    return point


def point_of_rows(rows: Sequence[RouteFigures], span_s: float) -> Point:
    """Return the values of routes: open connections, and rates of what was counted in `span_s` seconds."""
    point: Point = {
        "connections": sum(row.active for row in rows),
        "subscriptions": sum(row.subscriptions for row in rows),
    }
    if span_s > 0:
        point |= {name: _short(value / span_s) for name, value in _counts_of(rows).items()}
    return point


def columns_of(
    samples: Iterable[Sample], selection: Selection, step_s: float
) -> tuple[list[float], dict[str, list[float | None]]]:
    """Return times, and the values by name: one for each step of `step_s` seconds that has a sample.

    Steps are whole since the epoch, so that a point does not change when the time that is shown moves on.
    """
    points = [
        (group[-1].at_s, point_of(together(group), selection))
        for group in grouped(samples, lambda sample: sample.at_s // step_s)
    ]
    names = sorted({name for _, point in points for name in point})
    values = {name: [point.get(name) for _, point in points] for name in names}
    return [at_s for at_s, _ in points], values


def grouped(samples: Iterable[Sample], key: Callable[[Sample], float]) -> Iterator[list[Sample]]:
    """Yield runs of samples with the same key."""
    for _, group in groupby(samples, key):
        yield list(group)


def quantile_s(histogram: Histogram, percent: int) -> float | None:
    """Return a percentile in seconds, as Prometheus does: in proportion within its bucket; None without any times."""
    count = sum(histogram.counts)
    if not count:
        return None
    rank, below = count * percent / 100, 0
    for index, (bound_s, inside) in enumerate(zip(BOUNDS_S, histogram.counts, strict=False)):
        if below + inside >= rank and inside:
            start_s = BOUNDS_S[index - 1] if index else 0.0
            return start_s + (bound_s - start_s) * (rank - below) / inside
        below += inside
    return BOUNDS_S[-1]


def _counts_of(rows: Sequence[RouteFigures]) -> Point:
    whole = RouteFigures("", "")
    for row in rows:
        whole.add(row)
    counts: Point = {name: getattr(whole, field) for name, field in _RATES.items()}
    for name, field in _RATES_BY_LABEL.items():
        by_label: dict[str, int] = getattr(whole, field)
        counts[name] = sum(by_label.values())
        counts |= {f"{name}.{label}": count for label, count in by_label.items()}
    return counts


def _short(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")


def point_of_processes(nodes: Mapping[str, Figures], span_s: float) -> Point:
    """Return the values of processes: times, and for each of them loop lag, memory, CPU and what waits."""
    point: Point = {}
    for name, key in _OF_NODES.items() if span_s > 0 else ():
        labels = _summed(figures.counts.get(key, {}) for figures in nodes.values())
        point[name] = sum(labels.values()) / span_s
        point |= {f"{name}.{label}": count / span_s for label, count in labels.items() if label}
    for name in HISTOGRAMS:
        merged = histogram_of(nodes.values(), name)
        for percent in QUANTILES:
            if (value_s := quantile_s(merged, percent)) is not None:
                point[f"{name}.p{percent}"] = value_s * _MS_PER_S
    for node, figures in nodes.items():
        point |= {f"{name}.{node}": value for name, value in of_process(figures, span_s).items()}
    return {name: _short(value) for name, value in point.items()}


def histogram_of(all_figures: Iterable[Figures], name: str) -> Histogram:
    """Return the sum of a histogram over several nodes."""
    merged = Histogram()
    for figures in all_figures:
        if name in figures.histograms:
            merged.add(figures.histograms[name])
    return merged


def _summed(values: Iterable[Mapping[str, float]]) -> dict[str, float]:
    sums: dict[str, float] = {}
    for each in values:
        for label, value in each.items():
            sums[label] = sums.get(label, 0.0) + value
    return sums


def of_process(figures: Figures, span_s: float) -> Point:
    """Return the values of one process; nothing of one that has ended. `cpu` is the part of one core."""
    gauges = figures.gauges
    if not gauges:
        return {}
    values: Point = {
        "lag": gauges.get("loop_lag", {}).get("max", 0.0) * _MS_PER_S,
        "outbox": gauges.get("outbox_bytes", {}).get("", 0.0),
        "fill": max(gauges.get("limit_fill", {}).values(), default=0.0),
    }
    if "resident_bytes" in gauges:
        values["memory"] = gauges["resident_bytes"][""]
    if span_s > 0:
        values["cpu"] = figures.counts.get("cpu", {}).get("", 0.0) / span_s
    return values
