"""Counts connections and writes the access log: one line when a connection opens, closes or is refused."""

import json
import logging
from json.encoder import encode_basestring_ascii as _quoted
from time import monotonic

from realtime.protocol.close_codes import CloseCode
from realtime.protocol.errors import Refusal
from realtime.sockets.connection import Connection
from realtime.sockets.metrics import UNKNOWN, Metrics, RouteMetrics
from realtime.sockets.types import Scope

access_log = logging.getLogger("realtime.access")


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
        _log(f'{{"event": "open", {_who(connection)}, "remote_addr": {_quoted(connection.remote_addr)}}}')

    def closed(self, connection: Connection, code: int) -> None:
        """A connection has ended."""
        connection.metrics.closed(code)
        connection.metrics.dropped += connection.outbox.dropped
        if code == CloseCode.TIMEOUT and not connection.is_closing:
            # The server's heartbeat closed it; an endpoint with an idle timeout closes by itself.
            self._metrics.pings_lost += 1
        seconds = round(monotonic() - connection.opened_s, 3)
        _log(
            f'{{"event": "close", {_who(connection)}, "code": {int(code)}, '
            f'"reason": {_quoted(connection.close_reason)}, "seconds": {seconds}, '
            f'"messages_in": {connection.messages_in}, "messages_out": {connection.messages_out}}}'
        )

    def refused(self, scope: Scope, refusal: Refusal) -> None:
        """A connection was refused."""
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
        _log(json.dumps(line))


def _who(connection: Connection) -> str:
    """The fields common to both lines of a connection, as JSON text. Written by hand to avoid
    `json.dumps`."""
    identity = connection.identity
    user: str | int = "null" if identity is None else identity.user_id
    if identity is not None and isinstance(user, str):
        user = _quoted(user)
    return (
        f'"connection_id": {_quoted(connection.id)}, "tenant": {_quoted(connection.tenant.slug)}, '
        f'"user": {user}, "path": {_quoted(connection.route)}'
    )


def _log(line: str) -> None:
    """As `access_log.info`, without searching the stack for the caller, which is always this function."""
    if access_log.isEnabledFor(logging.INFO):
        code = _log.__code__
        caller = (code.co_filename, code.co_firstlineno)
        access_log.handle(
            access_log.makeRecord(access_log.name, logging.INFO, *caller, line, (), None, code.co_name)
        )
