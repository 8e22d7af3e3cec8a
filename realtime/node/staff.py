"""Who runs the tenant of a page: asked of the session, as a socket would be."""

from django.http import HttpRequest
from rest_framework.request import Request

from realtime.core.identity import Tenant
from realtime.node import node as nodes
from realtime.protocol.errors import Refusal


def is_staff_session(request: Request | HttpRequest) -> bool:
    """Whether the session is one of staff of the request's tenant: what a socket would be told."""
    session_key, tenant = request.session.session_key, tenant_of(request)
    if session_key is None or tenant is None:
        return False
    try:
        session = nodes.current_node().authenticator.load_session(session_key, tenant)
    except Refusal:
        return False
    return session.identity is not None and session.identity.is_staff is True


def tenant_of(request: Request | HttpRequest) -> Tenant | None:
    """The tenant of the request's host; None where probes and scrapers name a host of nobody."""
    tenant: Tenant | None = request.tenant  # type: ignore[union-attr]  # the site's middleware sets it
    return tenant
