"""Whether a request comes from staff of its tenant, checked by the session as for a socket."""

from django.http import HttpRequest
from rest_framework.request import Request

from realtime.core.identity import Tenant
from realtime.node import node as nodes
from realtime.protocol.errors import Refusal


def is_staff_session(request: Request | HttpRequest) -> bool:
    """Whether the request's session belongs to staff of its tenant, by the same check as for a socket."""
    session_key, tenant = request.session.session_key, tenant_of(request)
    if session_key is None or tenant is None:
        return False
    try:
        session = nodes.current_node().authenticator.load_session(session_key, tenant)
    except Refusal:
        return False
    return session.identity is not None and session.identity.is_staff is True


def tenant_of(request: Request | HttpRequest) -> Tenant | None:
    """The tenant of the request's host; None for a host without one, as in health checks
    and metrics requests."""
    tenant: Tenant | None = request.tenant  # type: ignore[union-attr]  # the site's middleware sets it
    return tenant
