"""What a connection leaves behind: figures, and one line in the access log when it opens, closes or is refused."""

import logging
from collections.abc import Mapping
from json.encoder import encode_basestring_ascii
from time import monotonic

from realtime.connection import Connection
from realtime.metrics import UNKNOWN, Metrics, RouteMetrics
from realtime.protocol.errors import Refusal
from realtime.types import Scope

access_log = logging.getLogger("realtime.access")

Value = str | int | float | None


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
        _log_life("open", connection, remote_addr=connection.remote_addr)

    def closed(self, connection: Connection, code: int) -> None:
        """A connection is over."""
        connection.metrics.closed(code)
        connection.metrics.dropped += connection.outbox.dropped
        _log_life(
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
        line: dict[str, Value] = {
            "event": "refused",
            "connection_id": scope["connection_id"],
            "tenant": tenant.slug if tenant else None,
            "path": route.path if route else None,
            "status": refusal.status,
            "code": refusal.code,
            "remote_addr": (scope.get("client") or ("",))[0],
        }
        _log(line)


def _log_life(event: str, connection: Connection, **more: Value) -> None:
    identity = connection.identity
    line = {
        "event": event,
        "connection_id": connection.id,
        "tenant": connection.tenant.slug,
        "user": identity.user_id if identity else None,
        "path": connection.route,
        **more,
    }
    _log(line)


def _log(line: Mapping[str, Value]) -> None:
    """As `access_log.info` does it, without looking through the stack for who called: that is always this function."""
    if access_log.isEnabledFor(logging.INFO):
        code = _log.__code__
        caller = (code.co_filename, code.co_firstlineno)
        text = encode_line(line)
        access_log.handle(
            access_log.makeRecord(access_log.name, logging.INFO, *caller, text, (), None, code.co_name)
        )


def encode_line(line: Mapping[str, Value]) -> str:
    """`line` as `json.dumps` writes it, in half the time: every connection has two of them."""
    return "{" + ", ".join([f'"{name}": {_encode(value)}' for name, value in line.items()]) + "}"


def _encode(value: Value) -> str:
    if isinstance(value, str):
        return encode_basestring_ascii(value)
    return "null" if value is None else repr(value)
