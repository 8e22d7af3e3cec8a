"""Connection quotas of the process, address, route and user, and the handshake limiter of the address."""

import logging
from collections.abc import Awaitable
from time import monotonic

from realtime.core.identity import Tenant
from realtime.middleware.headers import header_values, limit_key, remote_host
from realtime.node.node import Node
from realtime.protocol.errors import Refusal, unavailable
from realtime.sockets.types import Application, Receive, Scope, Send

logger = logging.getLogger(__name__)

RETRY_AFTER_S = 5


class ConnectionLimits:
    """Refuses a handshake while draining, from a banned address, after too many failures, and beyond a quota.

    Runs before costly checks.
    """

    def __init__(self, app: Application, node: Node) -> None:
        self._app = app
        self._node = node
        self._has_warned = False

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Count the connection in each quota, or raise Refusal(403 | 429 | 503)."""
        node, settings, route = self._node, self._node.settings, scope["route"]
        address = limit_key(scope)
        if node.is_draining:
            raise unavailable("draining", "This server is going away.", retry_after_s=RETRY_AFTER_S)
        if wait_s := node.handshakes.wait_s(address, monotonic()):
            raise _too_many("Too many failed attempts from this address.", int(wait_s) + 1)
        node.bans.require_address(scope["tenant"], remote_host(scope))
        places, connection_id = node.quota, scope["connection_id"]
        if not places.take(connection_id, "process", settings.MAX_CONNECTIONS):
            raise unavailable("full", "This server is full.", retry_after_s=RETRY_AFTER_S)
        if not self._take_tenants_place(connection_id, scope["tenant"]):
            raise _too_many("Too many connections of this tenant.", RETRY_AFTER_S)
        if not places.take(connection_id, ("pool", route.host, route.path), route.pool_size):
            raise unavailable("full", "This endpoint is full.", retry_after_s=RETRY_AFTER_S)
        if not places.take(connection_id, ("address", address), settings.MAX_CONNECTIONS_PER_IP):
            self._warn_of_proxy(scope)
            raise _too_many("Too many connections from this address.", RETRY_AFTER_S)
        return self._app(scope, receive, send)

    def _take_tenants_place(self, connection_id: str, tenant: Tenant) -> bool:
        """Count the connection for its tenant, also without a quota: there may be one later."""
        limit = self._node.quotas.of(tenant.slug).max_connections
        if limit:
            limit -= self._node.open_elsewhere(tenant.slug)
            if limit <= 0:
                return False
        return self._node.quota.take(connection_id, tenant.id, limit)

    def _warn_of_proxy(self, scope: Scope) -> None:
        """Warn once: behind a proxy that is not trusted, all clients count as one address."""
        forwarded = ",".join(header_values(scope, b"x-forwarded-for"))
        # If the header was trusted, the server has already taken the client's address from it.
        if not forwarded or self._has_warned or remote_host(scope) in forwarded:
            return
        self._has_warned = True
        logger.warning(
            "%s has reached the limit of connections of an address, and sends X-Forwarded-For. If it is your proxy, "
            "name it in REALTIME_TRUSTED_PROXIES: until then all its clients count as one.",
            remote_host(scope),
        )


class UserLimit:
    """Refuses banned users, and those beyond the quota of connections of one user in this process."""

    def __init__(self, app: Application, node: Node) -> None:
        self._app = app
        self._node = node

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Count the connection for its user, or raise Refusal(403: banned | 429)."""
        identity = scope["identity"]
        if identity is not None:
            self._node.bans.require_user(identity)
            key = ("user", identity.tenant, identity.user_id)
            limits = (
                self._node.settings.MAX_CONNECTIONS_PER_USER,
                self._node.quotas.of(identity.tenant).max_connections_per_user,
            )
            limit = min(filter(None, limits), default=0)
            if not self._node.quota.take(scope["connection_id"], key, limit):
                raise _too_many("Too many connections of this user.", RETRY_AFTER_S)
        return self._app(scope, receive, send)


def _too_many(message: str, retry_after_s: int) -> Refusal:
    return Refusal(429, "rate_limited", message, retry_after_s=retry_after_s)
