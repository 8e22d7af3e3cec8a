"""The names of connections in log lines."""

from typing import Any, Protocol

from realtime.core.identity import Identity, Tenant
from realtime.sockets.types import Scope


class Labelled(Protocol):
    """The part of a connection that its label shows."""

    id: str
    tenant: Tenant
    identity: Identity | None


def label(connection: Labelled) -> str:
    """Connection, tenant and user, for a log line. Holds nothing secret."""
    user = "nobody" if connection.identity is None else repr(connection.identity.user_id)
    return f"connection {connection.id} (tenant {connection.tenant.slug}, user {user})"


def log_fields(connection: Labelled) -> dict[str, Any]:
    """Connection, tenant and user, as fields of a log line."""
    identity = connection.identity
    user = None if identity is None else identity.user_id
    return {"connection_id": connection.id, "tenant": connection.tenant.slug, "user": user}


def scope_log_fields(scope: Scope) -> dict[str, Any]:
    """As `log_fields`, of a scope: what middleware has found so far. An HTTP request has `request_id`."""
    tenant, identity = scope.get("tenant"), scope.get("identity")
    name = "request_id" if scope["type"] == "http" else "connection_id"
    user = scope.get("user_id") if identity is None else identity.user_id
    return {name: scope.get(name), "tenant": tenant and tenant.slug, "user": user}
