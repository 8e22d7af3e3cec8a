"""The ASGI applications of this package, for a site's ProtocolTypeRouter."""

from channels.routing import ProtocolTypeRouter

from realtime.endpoints.shared import Endpoints
from realtime.middleware.identity import Authorize, Identify
from realtime.middleware.limits import ConnectionLimits, UserLimit
from realtime.middleware.origin import OriginCheck
from realtime.middleware.refusals import Refusals
from realtime.middleware.route import RouteGate, run_route
from realtime.middleware.tenant import HttpRefusals, TenantMiddleware, UpgradeRequired
from realtime.node.node import Node
from realtime.server.collector import calm_collector
from realtime.server.drain import drain_on_sigterm
from realtime.sockets.types import Application, Receive, Scope, Send


def build_application(node: Node, http: Application) -> ProtocolTypeRouter:
    """The whole site: `http` (Django) behind the tenant gate, the WebSocket routes behind all their middleware."""
    endpoints = Endpoints(node)
    return ProtocolTypeRouter(
        {
            "http": HttpRefusals(TenantMiddleware(UpgradeRequired(http, endpoints), endpoints)),
            "websocket": build_websocket(endpoints),
            "lifespan": Lifespan(node),
        }
    )


def build_websocket(endpoints: Endpoints) -> Application:
    """The middleware of every WebSocket; each adds to the scope what those inside it need."""
    node = endpoints.node
    # From the inside out. With what uvicorn gives, the scope has 21 keys: at the 22nd the scope, which lives as long
    # as the socket, would grow by 0.4 KiB.
    app: Application = UserLimit(run_route, node)
    app = Authorize(app, node)
    app = Identify(app, node)
    app = ConnectionLimits(app, node)
    app = OriginCheck(app, node)
    app = RouteGate(app, endpoints)
    app = TenantMiddleware(app, endpoints)
    return Refusals(app, node)


class Lifespan:
    """Starts the node with the server and stops it with it, where the server says so."""

    def __init__(self, node: Node) -> None:
        self._node = node

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Speak the lifespan protocol."""
        while True:
            event = await receive()
            if event["type"] == "lifespan.startup":
                await self._node.ensure_started()
                calm_collector()
                drain_on_sigterm(self._node.drain)
                await send({"type": "lifespan.startup.complete"})
            else:
                await self._node.stop()
                await send({"type": "lifespan.shutdown.complete"})
                return
