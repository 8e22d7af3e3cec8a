"""Finds the operator of a session or an identity."""

from typing import TYPE_CHECKING

from django.http import HttpRequest

from realtime.core.actors import Actor, ActorKind
from realtime.core.identity import Identity
from realtime.node.staff import session_identity

if TYPE_CHECKING:
    # The extra `dashboard`.
    from rest_framework.request import Request


def session_actor(request: "Request | HttpRequest") -> Actor | None:
    """Return the operator of the request's session; None unless the session belongs to staff of the host's tenant."""
    identity = session_identity(request)
    if identity is None or identity.is_staff is not True:
        return None
    return actor_of_identity(identity, ActorKind.SESSION, address_of(request))


def actor_of_identity(identity: Identity, kind: ActorKind, address: str) -> Actor:
    """Return the operator with this identity; a superuser may name any tenant."""
    tenant = None if identity.is_superuser is True else identity.tenant
    return Actor(kind, str(identity.user_id), identity.username, tenant, identity.scopes, address)


def address_of(request: "Request | HttpRequest") -> str:
    """Return the client's address."""
    return str(request.META.get("REMOTE_ADDR", ""))
