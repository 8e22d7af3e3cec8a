"""Plain HTTP requests: each has an id, is counted by the status of its answer, and has a line in the access log."""

import re
import secrets
from collections.abc import Mapping
from time import monotonic
from typing import Any

from realtime.node.logs import log_scope
from realtime.sockets.access_log import log_access
from realtime.sockets.labels import scope_log_fields
from realtime.sockets.metrics import Metrics
from realtime.sockets.types import Application, Receive, Scope, Send

REQUEST_ID_HEADER = b"x-request-id"
# The ids that are taken from a client or proxy: nothing that a log, a header or a shell could misread.
_TAKEN = re.compile(rb"[A-Za-z0-9._-]{1,64}")
INTERNAL_ERROR = 500
# Of a path in a log line.
PATH_MAX_CHARS = 2048


class HttpRequests:
    """Adds `request_id` to the scope, and the header X-Request-ID to the answer.

    The id is the client's own if it sent a safe one. The log line has no query: it may hold credentials.
    """

    def __init__(self, app: Application, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the application."""
        request_id = scope["request_id"] = request_id_of(scope["headers"])
        log_scope.set(scope)
        header, status, began_s = (REQUEST_ID_HEADER, request_id.encode()), 0, monotonic()

        async def answer(event: Mapping[str, Any]) -> None:
            nonlocal status
            if event["type"] == "http.response.start":
                status = event["status"]
                self._metrics.http_answered(status)
                event = {**event, "headers": [*event.get("headers", ()), header]}
            await send(event)

        try:
            await self._app(scope, receive, answer)
        except Exception:
            # The server answers.
            status = status or INTERNAL_ERROR
            raise
        finally:
            _log(scope, status, monotonic() - began_s)


def request_id_of(headers: Any) -> str:
    """Return the id that a request brings, if it brings one and that is safe, or else a new one."""
    given = [value for name, value in headers if name.lower() == REQUEST_ID_HEADER]
    if len(given) == 1 and _TAKEN.fullmatch(given[0]):
        return str(given[0], "ascii")
    return secrets.token_hex(8)


def _log(scope: Scope, status: int, took_s: float) -> None:
    log_access(
        {
            "event": "request",
            **scope_log_fields(scope),
            "method": scope["method"],
            "path": scope["path"][:PATH_MAX_CHARS],
            # 0: the client left before there was an answer.
            "status": status,
            "ms": round(took_s * 1000, 1),
            "remote_addr": (scope.get("client") or ("",))[0],
        }
    )
