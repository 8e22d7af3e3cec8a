"""What a connection leaves behind: figures, and one line in the access log when it opens, closes or is refused."""

import json
import logging
from time import monotonic
from typing import Any

from realtime.connection import Connection
from realtime.metrics import UNKNOWN, Metrics, RouteMetrics
from realtime.protocol.errors import Refusal
from realtime.types import Scope

access_log = logging.getLogger("realtime.access")


class Observer:
    """Counts and logs the life of connections. No credential is ever part of a line."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def route_metrics(self, scope: Scope) -> RouteMetrics:
        """The figures of the scope's tenant and route, as far as they are known."""
        tenant, route = scope.get("tenant"), scope.get("route")
        return self._metrics.route(tenant.slug if tenant else UNKNOWN, route.path if route else UNKNOWN)

    def opened(self, connection: Connection) -> None:
        """A connection was accepted."""
        connection.metrics.opened()
        _log("open", connection, remote_addr=connection.remote_addr)

    def closed(self, connection: Connection, code: int) -> None:
        """A connection is over."""
        connection.metrics.closed(code)
        connection.metrics.dropped += connection.outbox.dropped
        _log(
            "close",
            connection,
            code=code,
            reason=connection.close_reason,
            seconds=round(monotonic() - connection.opened_s, 3),
            messages_in=connection.messages_in,
            messages_out=connection.messages_out,
        )

    def refused(self, scope: Scope, refusal: Refusal) -> None:
        """A connection was not let in."""
        self.route_metrics(scope).refused(refusal.status)
        tenant, route = scope.get("tenant"), scope.get("route")
        line = {
            "event": "refused",
            "connection_id": scope["connection_id"],
            "tenant": tenant and tenant.slug,
            "path": route.path if route else None,
            "status": refusal.status,
            "code": refusal.code,
            "remote_addr": (scope.get("client") or ("",))[0],
        }
        access_log.info("%s", json.dumps(line))


def _log(event: str, connection: Connection, **more: Any) -> None:
    line = {
        "event": event,
        "connection_id": connection.id,
        "tenant": connection.tenant.slug,
        "user": connection.identity and connection.identity.user_id,
        "path": connection.route,
        **more,
    }
    access_log.info("%s", json.dumps(line))
