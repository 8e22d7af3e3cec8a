"""Connection limits: of the process, the address, the route's pool, the user; and failed attempts of an address."""

from time import monotonic

from realtime.protocol.errors import Refusal, unavailable
from realtime.runtime import Runtime
from realtime.types import Application, Receive, Scope, Send

RETRY_AFTER_S = 5
# Refusals that count as failed attempts of their address.
ATTEMPT_STATUSES = frozenset({401, 403})


class ConnectionLimits:
    """Before anything costly: draining, the process, the address, the route's pool, failed attempts."""

    def __init__(self, app: Application, runtime: Runtime) -> None:
        self._app = app
        self._runtime = runtime

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hold a place in each count while the connection lasts, or raise Refusal(429 | 503)."""
        runtime = self._runtime
        address = (scope.get("client") or ("",))[0]
        if runtime.is_draining:
            raise unavailable("draining", "This server is going away.", retry_after_s=RETRY_AFTER_S)
        if wait_s := runtime.attempts.wait_s(address, monotonic()):
            raise _too_many("Too many failed attempts from this address.", int(wait_s) + 1)
        settings, route = runtime.settings, scope["route"]
        with runtime.places.hold() as places:
            if not places.take("process", settings.MAX_CONNECTIONS):
                raise unavailable("full", "This server is full.", retry_after_s=RETRY_AFTER_S)
            if not places.take(("pool", route.host, route.path), route.pool_size):
                raise unavailable("full", "This endpoint is full.", retry_after_s=RETRY_AFTER_S)
            if not places.take(("address", address), settings.MAX_CONNECTIONS_PER_IP):
                raise _too_many("Too many connections from this address.", RETRY_AFTER_S)
            try:
                await self._app(scope, receive, send)
            except Refusal as refusal:
                if refusal.status in ATTEMPT_STATUSES:
                    runtime.attempts.failed(address, monotonic())
                raise


class UserLimit:
    """The connections of one user in this process."""

    def __init__(self, app: Application, runtime: Runtime) -> None:
        self._app = app
        self._runtime = runtime

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hold a place of the user while the connection lasts, or raise Refusal(429)."""
        identity = scope["identity"]
        if identity is None:
            await self._app(scope, receive, send)
            return
        with self._runtime.places.hold() as places:
            key = ("user", identity.tenant, identity.user_id)
            if not places.take(key, self._runtime.settings.MAX_CONNECTIONS_PER_USER):
                raise _too_many("Too many connections of this user.", RETRY_AFTER_S)
            await self._app(scope, receive, send)


def _too_many(message: str, retry_after_s: int) -> Refusal:
    return Refusal(429, "rate_limited", message, retry_after_s=retry_after_s)
