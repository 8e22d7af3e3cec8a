"""The figures that live pages receive at an interval. Pages that show the same share one feed, so that it is made once."""

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from heapq import nlargest
from time import monotonic, time
from typing import TYPE_CHECKING, Any

import msgspec

from realtime.core.figures import Figures, total
from realtime.core.points import Selection, of_process, point_of
from realtime.core.samples import Sample, since
from realtime.protocol.codec import encode_reply
from realtime.sockets.metrics import json_of
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
# The name of a rate in a table, and of the count that it is computed from.
_RATES = {
    "opened_per_s": "opened",
    "in_per_s": "messages_in",
    "out_per_s": "messages_out",
    "bytes_in_per_s": "bytes_in",
    "bytes_out_per_s": "bytes_out",
    "errors_per_s": "errors",
}


class FeedKey(msgspec.Struct, frozen=True):
    """What a page shows, and how often it is told, in seconds."""

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
        self._before: tuple[float, Mapping[str, Figures]] | None = None
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
        selection, now_s = self._selection, monotonic()
        nodes = self._node.figures.by_node()
        span_s, changes = self._changes(nodes, now_s)
        sample = Sample(time(), span_s, changes)
        sums = total(self._parts(nodes, [self._node.figures.ended()] if selection.node is None else []))
        figures = json_of(sums)
        rates = json_of(total(self._parts(changes, [])))
        totals = _row(figures["totals"], rates["totals"], span_s)
        reasons = {name: dict(figures["totals"][name]) for name in ("closed", "errors", "refused")}
        return {
            "interval_s": self._key.interval_s,
            "time": datetime.now(UTC).isoformat(),
            "tenant": selection.tenant,
            "route": selection.route,
            "node": selection.node,
            "nodes": [self._node_row(node, nodes[node], sample) for node in sorted(nodes)],
            "point": point_of(sample, selection),
            "totals": totals,
            "reasons": reasons,
            **_tables(figures, rates, span_s),
        }

    def _changes(self, nodes: Mapping[str, Figures], now_s: float) -> tuple[float, dict[str, Figures]]:
        """Return the seconds since the last push, and what each node has counted meanwhile."""
        before_s, before = self._before or (now_s, nodes)
        self._before = (now_s, nodes)
        return now_s - before_s, {node: since(nodes[node], before.get(node)) for node in nodes}

    def _parts(self, nodes: Mapping[str, Figures], more: Iterable[Figures]) -> Iterator[Figures]:
        """Yield the figures of the routes that are shown."""
        for figures in (*more, *self._selection.figures(nodes).values()):
            yield Figures(routes=list(filter(self._selection.has, figures.routes)))

    def _node_row(self, node: str, figures: Figures, sample: Sample) -> dict[str, Any]:
        """Return what is shown of a node. Operators of one tenant get only what concerns it."""
        age_s = self._node.figures.ages_s().get(node, 0.0)
        rows = list(filter(self._selection.has, figures.routes))
        row = {
            "node": node,
            "age_s": round(age_s, 1),
            "is_late": age_s > LATE_S,
            "uptime_s": _uptime_s(figures),
            "connections": sum(each.active for each in rows),
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
            **of_process(sample.nodes[node], sample.span_s),
        }


def _uptime_s(figures: Figures) -> int:
    started_s = figures.gauges.get("start_time", {}).get("")
    return 0 if started_s is None else max(int(time() - started_s), 0)


def _tables(figures: dict[str, Any], rates: dict[str, Any], span_s: float) -> dict[str, Any]:
    """Return the busiest tenants and routes, by name, and how many are left out."""
    tenants = [{"tenant": slug, **sums} for slug, sums in figures["tenants"].items()]
    risen = {(row["tenant"], row["route"]): row for row in rates["routes"]}
    shown = {
        "tenants": nlargest(ROWS_MAX, tenants, _weight),
        "routes": nlargest(ROWS_MAX, figures["routes"], _weight),
    }
    return {
        "tenants": [
            _row(row, rates["tenants"].get(row["tenant"], {}), span_s)
            for row in sorted(shown["tenants"], key=_name)
        ],
        "routes": [
            _row(row, risen.get(_name(row), {}), span_s) for row in sorted(shown["routes"], key=_name)
        ],
        "left_out": {
            name: len(rows) - len(shown[name])
            for name, rows in (("tenants", tenants), ("routes", figures["routes"]))
        },
    }


def _row(counts: Mapping[str, Any], risen: Mapping[str, Any], span_s: float) -> dict[str, Any]:
    """Return a row with sums instead of counts by code, and with rates if time has passed."""
    row = {name: _number(value) for name, value in counts.items() if name != "closed"}
    for rate, name in _RATES.items() if span_s > 0 else ():
        row[rate] = round(_number(risen.get(name, 0)) / span_s, 2)
    return row


def _number(value: Any) -> Any:
    return sum(value.values()) if isinstance(value, dict) else value


def _weight(row: Mapping[str, Any]) -> tuple[int, int]:
    return row["active_connections"], row["messages_in"] + row["messages_out"]


def _name(row: Mapping[str, Any]) -> tuple[str, str]:
    return row["tenant"], row.get("route", "")
