"""The data that the live page receives at each interval. Each open page has its own feed."""

from collections.abc import Hashable, Iterator
from datetime import UTC, datetime
from itertools import islice
from time import monotonic
from typing import TYPE_CHECKING, Any

from realtime.core.rates import Rates
from realtime.node.memory import resident_bytes

if TYPE_CHECKING:
    from realtime.node.node import Node
    from realtime.sockets.connection import Connection

SAMPLE_SIZE = 100
_MEBIBYTE = 1024 * 1024

# The name of the rate, and of the counter that it is computed from.
_RATES = {
    "opened_per_s": "opened",
    "in_per_s": "messages_in",
    "out_per_s": "messages_out",
    "bytes_in_per_s": "bytes_in",
    "bytes_out_per_s": "bytes_out",
    "errors_per_s": "errors",
}


class LiveFeed:
    """The metrics of `tenant` or of all tenants (None) on this node, with rates since the last `beat`."""

    def __init__(self, node: "Node", tenant: str | None) -> None:
        self._node = node
        self._tenant = tenant
        self._rates: Rates[tuple[Hashable, str]] = Rates()

    def beat(self) -> dict[str, Any]:
        """Return the payload of the next `live` push. Call it on the loop.

        `{tenant, time, nodes, totals, reasons, tenants: […], routes: […], connections: […]}`. `tenant` is
        None if the feed has all tenants; otherwise `nodes` is empty. `connections` are the newest
        `SAMPLE_SIZE`.
        """
        figures = self._node.metrics.snapshot(self._tenant)
        totals, routes = figures["totals"], figures["routes"]
        tenants = [{"tenant": slug, **sums} for slug, sums in figures["tenants"].items()]
        reasons = {name: dict(totals[name]) for name in ("closed", "errors", "refused")}
        self._complete([totals, *tenants, *routes])
        return {
            "tenant": self._tenant,
            "time": datetime.now(UTC).isoformat(),
            "nodes": [self._node_figures(totals)] if self._tenant is None else [],
            "totals": totals,
            "reasons": reasons,
            "tenants": tenants,
            "routes": routes,
            "connections": [self._describe(each) for each in islice(self._newest(), SAMPLE_SIZE)],
        }

    def _complete(self, rows: list[dict[str, Any]]) -> None:
        """Replace counts by code with their sums, and add the rates."""
        for row in rows:
            row["errors"] = sum(row["errors"].values())
            row["refused"] = sum(row["refused"].values())
            del row["closed"]
        by_key: dict[Hashable, dict[str, Any]] = {(row.get("tenant"), row.get("route")): row for row in rows}
        counts = {(key, rate): row[name] for key, row in by_key.items() for rate, name in _RATES.items()}
        for (key, rate), per_s in self._rates.update(counts, monotonic()).items():
            by_key[key][rate] = round(per_s, 2)

    def _node_figures(self, totals: dict[str, Any]) -> dict[str, Any]:
        return {
            "node": self._node.id,
            "uptime_s": int((datetime.now(UTC) - self._node.started_at).total_seconds()),
            "active_connections": totals["active_connections"],
            "memory_mb": resident_mb(),
            "loop_lag": self._node.loop_lag.snapshot(),
        }

    def _newest(self) -> Iterator["Connection"]:
        for connection in reversed(self._node.connections.values()):
            if self._tenant in {None, connection.tenant.slug}:
                yield connection

    def _describe(self, connection: "Connection") -> dict[str, Any]:
        return {
            "id": connection.id,
            "tenant": connection.tenant.slug,
            "user": connection.identity.username if connection.identity else None,
            "route": connection.route,
            "age_s": int(monotonic() - connection.opened_s),
            "remote_addr": connection.remote_addr,
            "messages_in": connection.messages_in,
            "messages_out": connection.messages_out,
            "subscriptions": len(connection.subscriptions),
        }


def resident_mb() -> float | None:
    """Return the resident memory of this process in MiB; None on systems without /proc."""
    size = resident_bytes()
    return None if size is None else round(size / _MEBIBYTE, 1)
