"""Finds the operator of a session or an identity."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

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
    actor = actor_of_identity(identity, ActorKind.SESSION, address_of(request))
    return actor if actor.tenant is None else replace(actor, permissions=_permissions_of(request.user))


def actor_of_identity(identity: Identity, kind: ActorKind, address: str) -> Actor:
    """Return the operator with this identity; a superuser may name any tenant."""
    tenant = None if identity.is_superuser is True else identity.tenant
    return Actor(kind, str(identity.user_id), identity.username, tenant, identity.scopes, address)


def _permissions_of(user: Any) -> frozenset[str]:
    """Return the permissions of a user; none if the project's users have no permissions."""
    held = getattr(user, "get_all_permissions", frozenset)
    return frozenset(held())


def address_of(request: "Request | HttpRequest") -> str:
    """Return the client's address."""
    return str(request.META.get("REMOTE_ADDR", ""))
