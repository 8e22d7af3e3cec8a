"""The figures of this process: plain integers by tenant and route, written on the loop,
readable from any thread.

Labels come from the route table and the tenant directory, never from a client. Values that a client can
choose (a close code, an unknown host or path) are counted as `OTHER` or `UNKNOWN`, so that
no client can add labels.
"""

import asyncio
import threading
from collections import deque
from collections.abc import Iterable
from statistics import quantiles
from time import time
from typing import Any

from realtime.core.error_groups import ErrorGroups
from realtime.core.figures import Figures, Histogram, RouteFigures
from realtime.protocol.close_codes import CloseCode
from realtime.protocol.errors import ErrorCode

UNKNOWN = "-"
OTHER = "other"
# The verb of connections that were refused, among the last errors.
HANDSHAKE = "(handshake)"
# Above this many pairs of tenant and route, new pairs are counted as unknown.
MAX_ROUTES = 10_000
LAG_INTERVAL_S = 0.5
LAG_WINDOW_S = 60.0

_CLOSE_CODES = frozenset(range(1000, 1016)) | frozenset(CloseCode)
_ERROR_CODES = frozenset(ErrorCode)


class RouteMetrics:
    """The figures of one route of one tenant. All except `active` and `subscriptions` only rise.

    A connection updates `messages_in`, `bytes_in`, `messages_out`, `bytes_out`, `dropped` and `subscriptions`
    directly. `dropped` counts messages that were meant for a client and not sent (slow consumers,
    newest-value streams).
    """

    __slots__ = (
        "_last_errors",
        "active",
        "bytes_in",
        "bytes_out",
        "closed_by_code",
        "dropped",
        "errors_by_code",
        "messages_in",
        "messages_out",
        "opened_total",
        "refused_by_status",
        "route",
        "subscriptions",
        "tenant",
    )

    def __init__(self, tenant: str, route: str, last_errors: ErrorGroups | None = None) -> None:
        """`last_errors` are those of the process."""
        self.tenant = tenant
        self.route = route
        self._last_errors = last_errors or ErrorGroups()
        self.active = 0
        self.opened_total = 0
        self.messages_in = 0
        self.messages_out = 0
        self.bytes_in = 0
        self.bytes_out = 0
        self.subscriptions = 0
        self.dropped = 0
        self.closed_by_code: dict[str, int] = {}
        self.errors_by_code: dict[str, int] = {}
        self.refused_by_status: dict[str, int] = {}

    def opened(self) -> None:
        """A connection was accepted."""
        self.active += 1
        self.opened_total += 1

    def closed(self, code: int) -> None:
        """An accepted connection ended; a code that is neither ours nor standard counts as `OTHER`."""
        self.active -= 1
        _count(self.closed_by_code, str(int(code)) if code in _CLOSE_CODES else OTHER)

    def error(self, code: str, verb: str = "", exception: str = "", connection_id: str = "") -> None:
        """An error reply was sent, or a handler failed. `verb` and `exception` as in RequestError."""
        label = str(code) if code in _ERROR_CODES else OTHER
        _count(self.errors_by_code, label)
        # The type of a request that no endpoint has is the client's own text.
        named = "" if code == ErrorCode.UNKNOWN_TYPE else verb
        self._last_errors.add((label, named, exception, self.tenant, self.route), connection_id, time())

    def refused(self, status: int, code: str = "", connection_id: str = "") -> None:
        """A connection was refused; `status` is the HTTP status, even if it was sent as a close code."""
        _count(self.refused_by_status, str(int(status)))
        kind = (code or str(int(status)), HANDSHAKE, "", self.tenant, self.route)
        self._last_errors.add(kind, connection_id, time())

    def figures(self) -> dict[str, Any]:
        """All figures as plain JSON."""
        # Callers may be in other threads.
        return _json_of_row(_row(self))


class Metrics:
    """All figures of one process. The node owns them; each connection holds the
    `RouteMetrics` of its route."""

    def __init__(self) -> None:
        self._routes: dict[tuple[str, str], RouteMetrics] = {}
        # By tenant: what could not be published after a commit. Counted in any thread.
        self._publish_failures: dict[str, int] = {}
        self._lock = threading.Lock()
        # From the arrival of a request to its reply in the outbox, and from the arrival of a publication on this
        # node to the last write to a subscriber here.
        self.request_times = Histogram()
        self.delivery_times = Histogram()
        # How late the event loop runs its timers.
        self.lag_times = Histogram()
        # Plain HTTP requests by status.
        self.http_by_status: dict[str, int] = {}
        # Connections that ended because the client did not answer a ping.
        self.pings_lost = 0
        # The latest errors and refusals.
        self.last_errors = ErrorGroups()
        self.gaps_repaired = 0
        self.recoveries_full = 0
        self.recoveries_failed = 0

    def route(self, tenant: str, route: str) -> RouteMetrics:
        """The figures of `route` (such as "/ws/chat/") of the tenant with this slug;
        `UNKNOWN` if it is not known."""
        found = self._routes.get((tenant, route))
        if found is None:
            key = (tenant, route) if len(self._routes) < MAX_ROUTES else (UNKNOWN, UNKNOWN)
            found = self._routes.setdefault(key, RouteMetrics(*key, self.last_errors))
        return found

    def recovered(self, *, is_full: bool) -> None:
        """A client asked for what it had missed, and got all of it, or has to load the topic again."""
        if is_full:
            self.recoveries_full += 1
        else:
            self.recoveries_failed += 1

    def http_answered(self, status: int) -> None:
        """A plain HTTP request was answered. A status that is none counts as `OTHER`."""
        _count(self.http_by_status, str(status) if 100 <= status < 600 else OTHER)  # noqa: PLR2004 RFC 9110

    def publish_failed(self, tenant: str) -> None:
        """Something of the tenant could not be published after a commit."""
        with self._lock:
            is_known = tenant in self._publish_failures or len(self._publish_failures) < MAX_ROUTES
            _count(self._publish_failures, (tenant if is_known else "") or UNKNOWN)

    def publish_failures(self, tenant: str | None = None) -> dict[str, int]:
        """Return the number of failed publications by tenant, of one tenant or of all. Callable from any thread."""
        counts = dict(self._publish_failures)
        return counts if tenant is None else {tenant: counts.get(tenant, 0)}

    def routes(self, tenant: str | None = None) -> list[RouteMetrics]:
        """The routes used so far, of one tenant or of all, ordered by tenant and route.
        Callable from any thread."""
        found = [each for each in list(self._routes.values()) if tenant is None or each.tenant == tenant]
        return sorted(found, key=lambda each: (each.tenant, each.route))

    def snapshot(self, tenant: str | None = None) -> dict[str, Any]:
        """Plain JSON for one tenant or all: `{totals, tenants: {slug: …}, routes: [{tenant, route, …}]}`."""
        return json_of(Figures(routes=[_row(each) for each in self.routes(tenant)]))

    def rows(self, limit: int) -> list[RouteFigures]:
        """Return the figures of the routes; those beyond the first `limit` in one row of unknown ones."""
        rows = [_row(each) for each in list(self._routes.values())]
        if len(rows) <= limit:
            return rows
        rest = RouteFigures(UNKNOWN, UNKNOWN)
        for row in rows[limit:]:
            rest.add(row)
        return [*rows[:limit], rest]


class LoopLag:
    """How late the event loop runs its timers, in milliseconds. Every socket of the process
    is delayed as much."""

    def __init__(
        self,
        interval_s: float = LAG_INTERVAL_S,
        window_s: float = LAG_WINDOW_S,
        times: Histogram | None = None,
    ) -> None:
        self._interval_s = interval_s
        self._times = times or Histogram()
        self._samples_ms: deque[float] = deque(maxlen=max(round(window_s / interval_s), 1))

    async def run(self) -> None:
        """Take samples until cancelled. The node owns the task."""
        loop = asyncio.get_running_loop()
        while True:
            due_s = loop.time() + self._interval_s
            await asyncio.sleep(self._interval_s)
            self.record(loop.time() - due_s)

    def record(self, late_s: float) -> None:
        """Take one sample, in seconds."""
        self._samples_ms.append(max(late_s, 0.0) * 1000)
        self._times.observe(max(late_s, 0.0))

    def snapshot(self) -> dict[str, float]:
        """`last_ms`, `p99_ms` and `max_ms` over the last minute; zeros before the first sample."""
        samples = list(self._samples_ms) or [0.0]
        return {
            "last_ms": round(samples[-1], 3),
            "p99_ms": round(_p99(samples), 3),
            "max_ms": round(max(samples), 3),
        }


def _row(route: RouteMetrics) -> RouteFigures:
    # The copy of a dict is atomic.
    return RouteFigures(
        route.tenant,
        route.route,
        route.active,
        route.subscriptions,
        route.opened_total,
        route.messages_in,
        route.messages_out,
        route.bytes_in,
        route.bytes_out,
        route.dropped,
        dict(route.closed_by_code),
        dict(route.errors_by_code),
        dict(route.refused_by_status),
    )


def _json_of_row(row: RouteFigures) -> dict[str, Any]:
    return {
        "active_connections": row.active,
        "opened": row.opened_total,
        "messages_in": row.messages_in,
        "messages_out": row.messages_out,
        "bytes_in": row.bytes_in,
        "bytes_out": row.bytes_out,
        "subscriptions": row.subscriptions,
        "dropped": row.dropped,
        "closed": row.closed_by_code,
        "errors": row.errors_by_code,
        "refused": row.refused_by_status,
    }


def json_of(figures: Figures) -> dict[str, Any]:
    """Plain JSON: `{totals, tenants: {slug: …}, routes: [{tenant, route, …}]}`."""
    routes = [{"tenant": each.tenant, "route": each.route, **_json_of_row(each)} for each in figures.routes]
    by_tenant: dict[str, list[dict[str, Any]]] = {}
    for each in routes:
        by_tenant.setdefault(each["tenant"], []).append(each)
    return {
        "totals": _sum(routes),
        "tenants": {slug: _sum(rows) for slug, rows in by_tenant.items()},
        "routes": routes,
    }


def _p99(samples: list[float]) -> float:
    # `quantiles` needs at least two samples.
    return quantiles(samples, n=100, method="inclusive")[98] if len(samples) > 1 else samples[0]


def _count(counts: dict[str, int], label: str) -> None:
    counts[label] = counts.get(label, 0) + 1


def _sum(all_figures: Iterable[dict[str, Any]]) -> dict[str, Any]:
    total = RouteMetrics(UNKNOWN, UNKNOWN).figures()
    for figures in all_figures:
        for name, zero in total.items():
            if isinstance(zero, dict):
                for label, count in figures[name].items():
                    zero[label] = zero.get(label, 0) + count
            else:
                total[name] += figures[name]
    return total
