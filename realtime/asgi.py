"""The ASGI applications of this package, for a site's ProtocolTypeRouter."""

from channels.routing import ProtocolTypeRouter

from realtime.middleware.gate import HttpRefusals, TenantGate, UpgradeRequired
from realtime.middleware.identity import Authorize, Identify
from realtime.middleware.limits import ConnectionLimits, UserLimit
from realtime.middleware.origin import OriginCheck
from realtime.middleware.refusals import Refusals
from realtime.middleware.route import RouteGate, run_route
from realtime.runtime import Runtime
from realtime.server.collector import calm_collector
from realtime.server.drain import drain_on_sigterm
from realtime.types import Application, Receive, Scope, Send


def build_application(runtime: Runtime, http: Application) -> ProtocolTypeRouter:
    """The whole site: `http` (Django) behind the tenant gate, the WebSocket routes behind all their middleware."""
    return ProtocolTypeRouter(
        {
            "http": HttpRefusals(TenantGate(UpgradeRequired(http, runtime), runtime)),
            "websocket": build_websocket(runtime),
            "lifespan": Lifespan(runtime),
        }
    )


def build_websocket(runtime: Runtime) -> Application:
    """The middleware of every WebSocket, outermost last; each line adds to the scope what the ones above it need."""
    app: Application = run_route
    # With what uvicorn gives, that makes 21 keys: at the 22nd the scope, which lives as long as the socket, would grow
    # by 0.4 KiB.
    for middleware in (
        UserLimit,
        Authorize,
        Identify,
        ConnectionLimits,
        OriginCheck,
        RouteGate,
        TenantGate,
        Refusals,
    ):
        app = middleware(app, runtime)
    return app


class Lifespan:
    """Starts the runtime with the server and stops it with it, where the server says so."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Speak the lifespan protocol."""
        while True:
            event = await receive()
            if event["type"] == "lifespan.startup":
                await self._runtime.ensure_started()
                calm_collector()
                drain_on_sigterm(self._runtime.drain)
                await send({"type": "lifespan.startup.complete"})
            else:
                await self._runtime.stop()
                await send({"type": "lifespan.shutdown.complete"})
                return
