"""Finding the route. A path without a route on this host is refused with 404."""

from collections.abc import Awaitable

from realtime.core.credential_reading import choose_subprotocol
from realtime.endpoints.shared import Endpoints
from realtime.protocol.errors import Refusal
from realtime.sockets.types import Application, Receive, Scope, Send


class RouteMiddleware:
    """Adds `route` to the scope and chooses `subprotocol` again: only JSON endpoints support batches."""

    def __init__(self, app: Application, endpoints: Endpoints) -> None:
        self._app = app
        self._router = endpoints.router

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Pass on the request with its route, or raise Refusal(404)."""
        route = self._router.find(scope["host"].name, scope["path"])
        if route is None:
            raise Refusal(404, "not_found", "Nothing is served at this path on this host.")
        scope["route"] = route
        if route.pattern is not None:
            path = scope["path"].rstrip("/") + "/"
            scope["url_route"] = {"args": (), "kwargs": route.arguments(path)}
        if route.consumer.is_json:
            offered = scope.get("subprotocols", [])
            scope["subprotocol"] = choose_subprotocol(offered, has_batches=True)
        return self._app(scope, receive, send)


def run_route(scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
    """Run the route's own middleware and consumer, as the innermost application."""
    app: Application = scope["route"].app
    return app(scope, receive, send)
