"""The names of connections in log lines."""

from typing import Protocol

from realtime.core.identity import Identity, Tenant


class Labelled(Protocol):
    """The part of a connection that its label shows."""

    id: str
    tenant: Tenant
    identity: Identity | None


def label(connection: Labelled) -> str:
    """Connection, tenant and user, for a log line. Holds nothing secret."""
    user = "nobody" if connection.identity is None else repr(connection.identity.user_id)
    return f"connection {connection.id} (tenant {connection.tenant.slug}, user {user})"
