"""Counts connections and writes their lines of the access log."""

from time import monotonic

from realtime.protocol.close_codes import CloseCode
from realtime.protocol.errors import Refusal
from realtime.sockets.access_log import log_access
from realtime.sockets.connection import Connection
from realtime.sockets.labels import log_fields, scope_log_fields
from realtime.sockets.metrics import UNKNOWN, Metrics, RouteMetrics
from realtime.sockets.types import Scope


class Observer:
    """Counts and logs what happens to connections. No line ever holds a credential."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def route_metrics(self, scope: Scope) -> RouteMetrics:
        """The figures of the scope's tenant and route, as far as they are known."""
        tenant, route = scope.get("tenant"), scope.get("route")
        return self._metrics.route(tenant.slug if tenant else UNKNOWN, route.path if route else UNKNOWN)

    def opened(self, connection: Connection) -> None:
        """A connection was accepted."""
        connection.metrics.opened()
        log_access(
            {
                "event": "open",
                **log_fields(connection),
                "path": connection.route,
                "remote_addr": connection.remote_addr,
            }
        )

    def closed(self, connection: Connection, code: int) -> None:
        """A connection has ended."""
        connection.metrics.closed(code)
        connection.metrics.dropped += connection.outbox.dropped
        if code == CloseCode.TIMEOUT and not connection.is_closing:
            # The server's heartbeat closed it; an endpoint with an idle timeout closes by itself.
            self._metrics.pings_lost += 1
        log_access(
            {
                "event": "close",
                **log_fields(connection),
                "path": connection.route,
                "code": int(code),
                "reason": connection.close_reason,
                "seconds": round(monotonic() - connection.opened_s, 3),
                "messages_in": connection.messages_in,
                "messages_out": connection.messages_out,
            }
        )

    def refused(self, scope: Scope, refusal: Refusal) -> None:
        """A connection was refused."""
        self.route_metrics(scope).refused(refusal.status, refusal.code, scope["connection_id"])
        route = scope.get("route")
        log_access(
            {
                "event": "refused",
                **scope_log_fields(scope),
                "path": route.path if route else None,
                "status": refusal.status,
                "code": refusal.code,
                "remote_addr": (scope.get("client") or ("",))[0],
            }
        )
