"""The origin check: pages of another site or another tenant cannot open a socket."""

from collections.abc import Awaitable

from realtime.core.origins import is_own_origin, parse_origin
from realtime.middleware.headers import header_values
from realtime.node.node import Node
from realtime.protocol.errors import Refusal, forbidden
from realtime.sockets.types import Application, Receive, Scope, Send


class OriginCheck:
    """Admits a request with an Origin only if it is the tenant's own or allowed by the settings."""

    def __init__(self, app: Application, node: Node) -> None:
        self._app = app
        self._scheme = "https" if node.settings.HTTPS else None
        self._allowed = {parse_origin(origin) for origin in node.settings.ALLOWED_ORIGINS}

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Pass on a request without an origin or with an allowed one.

        Raises Refusal(403), or 400 for two origins.
        """
        values = header_values(scope, b"origin")
        if len(values) > 1:
            raise Refusal(400, "bad_origin", "Expected at most one Origin header.")
        if values and not self._is_allowed(scope, values[0]):
            raise forbidden("origin_denied", "Pages of this origin may not connect here.")
        return self._app(scope, receive, send)

    def _is_allowed(self, scope: Scope, value: str) -> bool:
        origin = parse_origin(value)
        if origin is None:
            return False
        scheme = self._scheme or ("https" if scope.get("scheme", "ws") in {"wss", "https"} else "http")
        is_own = is_own_origin(origin, hosts=scope["tenant"].hosts, scheme=scheme, requested=scope["host"])
        return is_own or origin in self._allowed
