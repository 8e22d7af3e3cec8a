"""The figures of a node as plain values: the values in its beats, and the counts that are kept after its end.

A count covers the time since the node started, so it only rises. The counts of ended nodes are kept, so the
sums over a cluster only rise too.
"""

from bisect import bisect_left
from collections.abc import Callable, Collection, Iterable, Mapping
from operator import add
from typing import TypeVar

import msgspec

N = TypeVar("N", int, float)

# Variables by which `serve` tells a process where it runs: the name of the server, the number of the worker,
# and how often the worker was restarted.
SERVE, WORKER, RESTARTS = "ROCKSTAR_SERVE", "ROCKSTAR_WORKER", "ROCKSTAR_WORKER_RESTARTS"
# Upper bounds of the buckets of every histogram, in seconds. A last bucket takes the rest.
BOUNDS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
# Ended nodes that are known one by one: one that was only silent may come back, and then counts itself.
ENDED_MAX = 64
# Places whose sums are kept apart.
PLACES_MAX = 256
# Routes of all that is kept by node, and of all sums; about 150 bytes each. Beyond it less is kept apart.
KEPT_ROWS_MAX = 10_000
# Gauges of which the sum over several nodes would say nothing: the largest or the smallest value matters.
_LARGEST = frozenset({"start_time", "loop_lag", "limit_fill", "restarts", "draining"})
_SMALLEST = frozenset({"broker_up"})

# Values by name and then by a label's value; "" if the name has no label.
Values = dict[str, dict[str, float]]


class Place(msgspec.Struct, array_like=True, frozen=True):
    """The place of a node: the `serve` that started it, and the number of the worker there, from 0 on.

    A worker that replaces another one has the same place.
    """

    serve: str = ""
    worker: int = 0


class Histogram(msgspec.Struct, array_like=True):
    """A histogram: how often a time was within each bucket, and the sum of all times in seconds."""

    counts: list[int] = msgspec.field(default_factory=lambda: [0] * (len(BOUNDS_S) + 1))
    sum_s: float = 0.0

    def observe(self, value_s: float) -> None:
        """Count a time."""
        self.counts[bisect_left(BOUNDS_S, value_s)] += 1
        self.sum_s += value_s

    def add(self, other: "Histogram") -> None:
        """Add the counts of another histogram."""
        self.counts = [ours + theirs for ours, theirs in zip(self.counts, other.counts, strict=True)]
        self.sum_s += other.sum_s


class RouteFigures(msgspec.Struct, array_like=True):
    """The figures of a route of a tenant. `active` and `subscriptions` are current values, the others are counts."""

    tenant: str
    route: str
    active: int = 0
    subscriptions: int = 0
    opened_total: int = 0
    messages_in: int = 0
    messages_out: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    dropped: int = 0
    closed_by_code: dict[str, int] = {}
    errors_by_code: dict[str, int] = {}
    refused_by_status: dict[str, int] = {}

    def add(self, other: "RouteFigures") -> None:
        """Add another one's figures."""
        self.active += other.active
        self.subscriptions += other.subscriptions
        self.opened_total += other.opened_total
        self.messages_in += other.messages_in
        self.messages_out += other.messages_out
        self.bytes_in += other.bytes_in
        self.bytes_out += other.bytes_out
        self.dropped += other.dropped
        if other.closed_by_code:
            _add(self.closed_by_code, other.closed_by_code)
        if other.errors_by_code:
            _add(self.errors_by_code, other.errors_by_code)
        if other.refused_by_status:
            _add(self.refused_by_status, other.refused_by_status)


class Figures(msgspec.Struct, array_like=True):
    """All figures of a node, or a sum of them. `counts` only rise; `gauges` are current values."""

    place: Place = Place()
    version: str = ""
    routes: list[RouteFigures] = msgspec.field(default_factory=list)
    publish_failures: dict[str, int] = msgspec.field(default_factory=dict)
    counts: Values = msgspec.field(default_factory=dict)
    gauges: Values = msgspec.field(default_factory=dict)
    histograms: dict[str, Histogram] = msgspec.field(default_factory=dict)

    def active(self, tenant: str) -> int:
        """Return the open connections of a tenant."""
        return sum(each.active for each in self.routes if each.tenant == tenant)

    def of_tenant(self, tenant: str) -> "Figures":
        """Return the figures that concern one tenant: its routes and its failed publications."""
        failures = {tenant: self.publish_failures.get(tenant, 0)}
        routes = [each for each in self.routes if each.tenant == tenant]
        return Figures(self.place, routes=routes, publish_failures=failures)


def total(all_figures: Iterable[Figures]) -> Figures:
    """Return the sum of figures; the place and the version are the last one's."""
    result = Figures()
    routes: dict[tuple[str, str], RouteFigures] = {}
    for figures in all_figures:
        result.place, result.version = figures.place, figures.version or result.version
        for row in figures.routes:
            key = row.tenant, row.route
            if key not in routes:
                routes[key] = RouteFigures(*key)
            routes[key].add(row)
        _add(result.publish_failures, figures.publish_failures)
        for name, counts in figures.counts.items():
            _add(result.counts.setdefault(name, {}), counts)
        for name, gauges in figures.gauges.items():
            join = max if name in _LARGEST else min if name in _SMALLEST else add
            _add(result.gauges.setdefault(name, {}), gauges, join)
        for name, histogram in figures.histograms.items():
            result.histograms.setdefault(name, Histogram()).add(histogram)
    result.routes = [routes[key] for key in sorted(routes)]
    return result


def kept(figures: Figures) -> Figures:
    """Return the part of a node's figures that is kept after its end: its counts."""
    result = total([figures])
    for row in result.routes:
        row.active = row.subscriptions = 0
    result.gauges = {}
    return result


class Ledger(msgspec.Struct, array_like=True):
    """The counts of ended nodes: the newest nodes by their ids, older ones as a sum for each place."""

    by_node: dict[str, Figures] = msgspec.field(default_factory=dict)
    sums: list[Figures] = msgspec.field(default_factory=list)

    def end(self, node: str, figures: Figures) -> None:
        """Keep the counts of a node that has ended."""
        self.by_node[node] = kept(figures)
        while len(self.by_node) > 1 and _is_over(self.by_node.values(), ENDED_MAX):
            self._fold(self.by_node.pop(next(iter(self.by_node))))

    def forget(self, node: str) -> None:
        """Drop the counts of a node that is alive after all, because it reports its own."""
        self.by_node.pop(node, None)

    def learn(self, other: "Ledger", alive: Iterable[str]) -> None:
        """Take over the counts that an older node keeps."""
        known = set(alive)
        for node, figures in other.by_node.items():
            if node not in self.by_node and node not in known:
                self.end(node, figures)
        places = {each.place for each in self.sums}
        for figures in other.sums:
            if figures.place not in places:
                self._fold(figures)

    def all(self) -> list[Figures]:
        """Return all figures that are kept."""
        return [*self.by_node.values(), *self.sums]

    def _fold(self, figures: Figures) -> None:
        place = figures.place
        if all(each.place != place for each in self.sums) and _is_over(self.sums, PLACES_MAX - 1):
            place = Place()
        others = [each for each in self.sums if each.place != place]
        folded = total([figures, *(each for each in self.sums if each.place == place)])
        folded.place = place
        self.sums = [*others, folded]


def _is_over(kept_figures: Collection[Figures], count_max: int) -> bool:
    return len(kept_figures) > count_max or sum(len(each.routes) for each in kept_figures) > KEPT_ROWS_MAX


def _add(into: dict[str, N], other: Mapping[str, N], join: Callable[[N, N], N] = add) -> None:
    for label, value in other.items():
        into[label] = join(into[label], value) if label in into else value
