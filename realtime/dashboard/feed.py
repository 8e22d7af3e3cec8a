"""The figures that live pages receive at an interval. Pages that show the same share one feed, so that it is made once."""

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from heapq import nlargest
from time import monotonic, time
from typing import TYPE_CHECKING, Any

import msgspec

from realtime.core.figures import Figures, RouteFigures, total
from realtime.core.points import Selection, of_process, point_of_processes, point_of_rows
from realtime.core.samples import since
from realtime.protocol.codec import encode_reply
from realtime.sockets.outbox import PreparedMessage
from realtime.topics.cluster import BEAT_S

if TYPE_CHECKING:
    from realtime.node.node import Node
    from realtime.sockets.connection import Connection

# Rows of each table; the busiest ones are shown.
ROWS_MAX = 50
# A node whose last beat is older than this, in seconds, is late. After three silent beats it is gone.
LATE_S = 1.5 * BEAT_S
_MS_PER_S = 1000


class FeedKey(msgspec.Struct, frozen=True):
    """The filters of a page, and the interval of its pushes in seconds."""

    selection: Selection
    interval_s: float


class Feeds:
    """The feeds of a node, one for each key that is watched. Used only on its event loop."""

    def __init__(self, node: "Node") -> None:
        self._node = node
        self._feeds: dict[FeedKey, Feed] = {}

    def join(self, key: FeedKey, connection: "Connection") -> None:
        """Push this feed to a connection: at once, and then at each interval."""
        feed = self._feeds.get(key)
        if feed is None:
            feed = self._feeds[key] = Feed(self._node, key)
        feed.join(connection)

    def leave(self, key: FeedKey, connection: "Connection") -> None:
        """Stop pushing this feed to a connection."""
        feed = self._feeds[key]
        feed.leave(connection)
        if not feed.watchers:
            del self._feeds[key]


class Feed:
    """One feed: `beat` makes the payload of the next push."""

    def __init__(self, node: "Node", key: FeedKey) -> None:
        self.watchers: dict[Connection, None] = {}
        self._node = node
        self._key = key
        self._selection = key.selection
        self._before: tuple[float, Figures, Mapping[str, Figures]] | None = None
        self._last: PreparedMessage | None = None
        self._task: asyncio.Task[None] | None = None

    def join(self, connection: "Connection") -> None:
        """Push to this connection from now on."""
        self.watchers[connection] = None
        if self._task is None:
            self._task = self._node.spawn(self._run())
        elif self._last is not None:
            connection.outbox.put(self._last)

    def leave(self, connection: "Connection") -> None:
        """Push to this connection no longer."""
        self.watchers.pop(connection, None)
        if not self.watchers and self._task is not None:
            self._task.cancel()
            self._task = None

    async def _run(self) -> None:
        while True:
            self._last = PreparedMessage(encode_reply(None, "live", self.beat()))
            for connection in list(self.watchers):
                if connection.outbox.is_behind:
                    # The page does not keep up. It skips this push and gets a later one.
                    connection.metrics.dropped += 1
                else:
                    connection.outbox.put(self._last)
            await asyncio.sleep(self._key.interval_s)

    def beat(self) -> dict[str, Any]:
        """Return the payload of the next push. There are no rates in the first one.

        `{interval_s, time, tenant, route, node, nodes, point, totals, reasons, tenants, routes, left_out}`. `tenant`,
        `route` and `node` are those that the figures are of; None is all. `point` has the values for the charts.
        """
        selection, reporter = self._selection, self._node.figures
        nodes = reporter.by_node()
        # The counts of ended nodes too, so that no total falls.
        parts = [*([reporter.ended()] if selection.node is None else []), *selection.figures(nodes).values()]
        routes = total(Figures(routes=self._rows(part)) for part in parts).routes
        span_s, risen, processes = self._changes(Figures(routes=routes), nodes)
        point = point_of_rows(risen.routes, span_s)
        if selection.is_whole:
            point |= point_of_processes(selection.figures(processes), span_s)
        return {
            "interval_s": self._key.interval_s,
            "time": datetime.now(UTC).isoformat(),
            "tenant": selection.tenant,
            "route": selection.route,
            "node": selection.node,
            "nodes": [self._node_row(node, nodes[node], processes[node], span_s) for node in sorted(nodes)],
            "point": point,
            **_tables(routes, risen.routes, span_s),
        }

    def _rows(self, figures: Figures) -> list[RouteFigures]:
        """Return the routes that are shown."""
        if self._selection.tenant is None and self._selection.route is None:
            return figures.routes
        return list(filter(self._selection.has, figures.routes))

    def _changes(
        self, routes: Figures, nodes: Mapping[str, Figures]
    ) -> tuple[float, Figures, dict[str, Figures]]:
        """Return the seconds since the last push, and what was counted meanwhile: by the routes, and by each process."""
        now_s = monotonic()
        processes = {
            node: Figures(
                each.place, each.version, counts=each.counts, gauges=each.gauges, histograms=each.histograms
            )
            for node, each in nodes.items()
        }
        before_s, routes_before, before = self._before or (now_s, routes, processes)
        self._before = (now_s, routes, processes)
        changes = {node: since(each, before.get(node)) for node, each in processes.items()}
        return now_s - before_s, since(routes, routes_before), changes

    def _node_row(self, node: str, figures: Figures, risen: Figures, span_s: float) -> dict[str, Any]:
        """Return what is shown of a node. Operators of one tenant get only what concerns it."""
        age_s = self._node.figures.ages_s().get(node, 0.0)
        row = {
            "node": node,
            "age_s": round(age_s, 1),
            "is_late": age_s > LATE_S,
            "uptime_s": _uptime_s(figures),
            "connections": sum(each.active for each in self._rows(figures)),
        }
        if not self._selection.is_whole:
            return row
        gauges = figures.gauges
        return {
            **row,
            "version": figures.version,
            "worker": figures.place.worker,
            "serve": figures.place.serve,
            "is_draining": bool(gauges.get("draining", {}).get("")),
            "broker_up": gauges.get("broker_up", {}).get(""),
            "loop_lag": {
                f"{stat}_ms": round(value * _MS_PER_S, 3)
                for stat, value in gauges.get("loop_lag", {}).items()
            },
            "database_waiting": gauges.get("database_waiting", {}).get("", 0.0),
            "limits": gauges.get("limit_fill", {}),
            **of_process(risen, span_s),
        }


def _uptime_s(figures: Figures) -> int:
    started_s = figures.gauges.get("start_time", {}).get("")
    return 0 if started_s is None else max(int(time() - started_s), 0)


def _tables(routes: Sequence[RouteFigures], risen: Sequence[RouteFigures], span_s: float) -> dict[str, Any]:
    """Return the sums, the busiest tenants and routes by name, and how many of both are left out."""
    changes = {(row.tenant, row.route): row for row in risen}
    tenants, tenants_risen = _by_tenant(routes), _by_tenant(risen)
    whole, whole_risen = _sum(tenants.values()), _sum(tenants_risen.values())
    shown = {"tenants": _busiest(tenants.values()), "routes": _busiest(routes)}
    return {
        "totals": _row(whole, whole_risen, span_s),
        "reasons": {
            "closed": whole.closed_by_code,
            "errors": whole.errors_by_code,
            "refused": whole.refused_by_status,
        },
        "tenants": [
            {"tenant": row.tenant, **_row(row, tenants_risen.get(row.tenant), span_s)}
            for row in shown["tenants"]
        ],
        "routes": [
            {
                "tenant": row.tenant,
                "route": row.route,
                **_row(row, changes.get((row.tenant, row.route)), span_s),
            }
            for row in shown["routes"]
        ],
        "left_out": {
            "tenants": len(tenants) - len(shown["tenants"]),
            "routes": len(routes) - len(shown["routes"]),
        },
    }


def _by_tenant(rows: Iterable[RouteFigures]) -> dict[str, RouteFigures]:
    sums: dict[str, RouteFigures] = {}
    for row in rows:
        known = sums.get(row.tenant)
        if known is None:
            known = sums[row.tenant] = RouteFigures(row.tenant, "")
        known.add(row)
    return sums


def _sum(rows: Iterable[RouteFigures]) -> RouteFigures:
    result = RouteFigures("", "")
    for row in rows:
        result.add(row)
    return result


def _busiest(rows: Collection[RouteFigures]) -> list[RouteFigures]:
    found = nlargest(ROWS_MAX, rows, lambda row: (row.active, row.messages_in + row.messages_out))
    return sorted(found, key=lambda row: (row.tenant, row.route))


def _row(row: RouteFigures, risen: RouteFigures | None, span_s: float) -> dict[str, Any]:
    """Return the counts of a row, with sums instead of counts by code, and rates if time has passed."""
    counts = {
        "active_connections": row.active,
        "subscriptions": row.subscriptions,
        "opened": row.opened_total,
        "messages_in": row.messages_in,
        "messages_out": row.messages_out,
        "bytes_in": row.bytes_in,
        "bytes_out": row.bytes_out,
        "dropped": row.dropped,
        "errors": sum(row.errors_by_code.values()),
        "refused": sum(row.refused_by_status.values()),
    }
    if span_s > 0:
        counts |= _rates(risen or RouteFigures("", ""), span_s)
    return counts


def _rates(risen: RouteFigures, span_s: float) -> dict[str, Any]:
    per_s = {
        "opened_per_s": risen.opened_total,
        "in_per_s": risen.messages_in,
        "out_per_s": risen.messages_out,
        "bytes_in_per_s": risen.bytes_in,
        "bytes_out_per_s": risen.bytes_out,
        "errors_per_s": sum(risen.errors_by_code.values()),
    }
    return {name: round(count / span_s, 2) for name, count in per_s.items()}
