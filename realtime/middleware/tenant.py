"""The first middleware of HTTP and WebSockets: requires one valid host of a known tenant."""

from collections.abc import Awaitable

from realtime.core.hosts import read_host
from realtime.endpoints.shared import Endpoints
from realtime.protocol.errors import Refusal
from realtime.protocol.handshake import REFUSAL_HEADERS, refusal_body
from realtime.sockets.types import Application, Receive, Scope, Send

# Load balancers request these with an IP address as the host. The answers hold no data of a tenant, or need
# the operator's token.
PROBE_PATHS = frozenset({"/healthz", "/readyz"})
HOSTLESS_PATHS = PROBE_PATHS | {"/metrics"}
# Probes are accepted with any Host or none, also with one that Django considers malformed.
PROBE_HOST = (b"host", b"localhost")


class TenantMiddleware:
    """Adds `endpoints`, `tenant` and `host` to the scope.

    Refuses a bad Host (400) and an unknown one (404).
    """

    def __init__(self, app: Application, endpoints: Endpoints) -> None:
        self._app = app
        self._endpoints = endpoints

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Pass on the request with its tenant, or raise Refusal(400 | 404)."""
        if not self._endpoints.node.is_started:
            return self._start_first(scope, receive, send)
        path = scope["path"].rstrip("/") if scope["type"] == "http" else ""
        if path in PROBE_PATHS:
            others = [header for header in scope["headers"] if header[0].lower() != b"host"]
            # Two Host headers are refused everywhere (RFC 9112 section 3.2).
            if len(scope["headers"]) - len(others) <= 1:
                scope["headers"] = [*others, PROBE_HOST]
        host = read_host(scope["headers"])
        scope["host"] = host
        scope["endpoints"] = self._endpoints
        scope["tenant"] = self._endpoints.node.directory.lookup(host.name)
        if scope["tenant"] is None and path not in HOSTLESS_PATHS:
            raise Refusal(404, "unknown_host", "No site is served under this host name.")
        return self._app(scope, receive, send)

    async def _start_first(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._endpoints.node.ensure_started()
        await self(scope, receive, send)


class UpgradeRequired:
    """Answers a plain HTTP request to a WebSocket route with 426."""

    def __init__(self, app: Application, endpoints: Endpoints) -> None:
        self._app = app
        self._endpoints = endpoints

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Pass on a request to any other path; raise Refusal(426) for a WebSocket route."""
        if self._endpoints.router.find(scope["host"].name, scope["path"]) is not None:
            raise Refusal(
                426, "upgrade_required", "This is a WebSocket endpoint: connect with ws:// or wss://."
            )
        return self._app(scope, receive, send)


class HttpRefusals:
    """Turns a `Refusal` into an HTTP answer."""

    def __init__(self, app: Application) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the application and answer a Refusal with JSON."""
        try:
            await self._app(scope, receive, send)
        except Refusal as refusal:
            headers = refusal_headers(refusal)
            await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
            await send({"type": "http.response.body", "body": encode_refusal(refusal)})


def encode_refusal(refusal: Refusal) -> bytes:
    """Return `{"error": {"code", "message"}}` as JSON."""
    return refusal_body(refusal.status, refusal.message, refusal.code)


def refusal_headers(refusal: Refusal) -> list[tuple[bytes, bytes]]:
    """Return the headers that belong to the status of the refusal."""
    headers = list(REFUSAL_HEADERS)
    if refusal.retry_after_s is not None:
        headers.append((b"retry-after", str(refusal.retry_after_s).encode()))
    if refusal.status == 401:  # noqa: PLR2004 RFC 9110 section 11.6.1
        headers.append((b"www-authenticate", b"Bearer"))
    if refusal.status == 426:  # noqa: PLR2004 RFC 9110 section 15.5.22
        headers += [(b"upgrade", b"websocket"), (b"connection", b"Upgrade")]
    return headers
