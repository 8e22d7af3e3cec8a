"""Whether a request comes from staff of its tenant, checked by the session as for a socket."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from django.http import HttpRequest

from realtime.core.identity import Identity, Tenant
from realtime.node import node as nodes
from realtime.protocol.errors import Refusal

if TYPE_CHECKING:
    # The extra `dashboard`; the live page works without it.
    from rest_framework.request import Request


def is_staff_session(request: "Request | HttpRequest") -> bool:
    """Whether the request's session belongs to staff of its tenant, by the same check as for a socket."""
    identity = session_identity(request)
    return identity is not None and identity.is_staff is True


def session_identity(request: "Request | HttpRequest") -> Identity | None:
    """Return the identity of the request's session; None if no user of this tenant is signed in with it."""
    session_key, tenant = request.session.session_key, tenant_of(request)
    if session_key is None or tenant is None:
        return None
    try:
        return nodes.current_node().authenticator.load_session(session_key, tenant).identity
    except Refusal:
        return None


def tenant_of(request: "Request | HttpRequest") -> Tenant | None:
    """The tenant of the request's host; None for a host without one, as in health checks
    and metrics requests.

    From a middleware of the site, or else from the ASGI scope, into which this package puts it.
    """
    if hasattr(request, "tenant"):
        tenant: Tenant | None = request.tenant
        return tenant
    # A request of Django's; that of REST framework wraps one.
    scope: Mapping[str, Any] = getattr(request, "scope", {})
    return scope.get("tenant")
