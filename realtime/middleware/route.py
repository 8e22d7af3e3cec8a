"""Finding the route: 404 for a path nobody serves on this host."""

from collections.abc import Awaitable

from realtime.core.credential_reading import choose_subprotocol
from realtime.endpoints.shared import Endpoints
from realtime.protocol.errors import Refusal
from realtime.sockets.types import Application, Receive, Scope, Send


class RouteGate:
    """Adds `route` to the scope, and settles `subprotocol`: only a JSON endpoint has batches."""

    def __init__(self, app: Application, endpoints: Endpoints) -> None:
        self._app = app
        self._router = endpoints.router

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Pass on with the route, or raise Refusal(404)."""
        route = self._router.find(scope["host"].name, scope["path"])
        if route is None:
            raise Refusal(404, "not_found", "Nothing is served at this path on this host.")
        scope["route"] = route
        if route.consumer.is_json:
            offered = scope.get("subprotocols", [])
            scope["subprotocol"] = choose_subprotocol(offered, has_batches=True)
        return self._app(scope, receive, send)


def run_route(scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
    """The end of the stack: the route's own application, its middleware around it."""
    app: Application = scope["route"].app
    return app(scope, receive, send)
