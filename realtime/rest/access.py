"""Access to the metrics: the clients that may read them, and the tenants that they see."""

from dataclasses import dataclass
from hmac import compare_digest

from django.contrib.auth.models import AnonymousUser
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import NotAuthenticated
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.views import APIView

from realtime.core.actors import Actor
from realtime.core.identity import Identity
from realtime.core.scopes import has_scopes
from realtime.node import node as nodes
from realtime.node.staff import is_staff_session, tenant_of

METRICS_SCOPE = "metrics:read"


@dataclass(frozen=True, slots=True)
class Operator:
    """A client with METRICS_TOKEN, such as the site operator's Prometheus. It sees every tenant."""


class MetricsTokenAuthentication(BaseAuthentication):
    """`Authorization: Bearer $METRICS_TOKEN`.

    Must come first: other classes refuse this value as a bad token.
    """

    def authenticate(self, request: Request) -> tuple[AnonymousUser, Operator] | None:
        """Recognise the operator's token.

        Anything else is left to the next class, if the host has a tenant.
        """
        expected = nodes.current_node().settings.METRICS_TOKEN.encode()
        kind, _, given = get_authorization_header(request).partition(b" ")
        if expected and kind.lower() == b"bearer" and compare_digest(given.strip(), expected):
            return AnonymousUser(), Operator()
        if tenant_of(request) is None:
            raise NotAuthenticated("On a host without a tenant, only the operator's token gives access.")
        return None

    def authenticate_header(self, request: Request) -> str:
        """Return a challenge, so that a request without credentials is answered with 401."""
        return "Bearer"


class MayReadMetrics(BasePermission):
    """Admits the operator's token, tokens with the scope `metrics:read`, and staff sessions of the tenant."""

    message = f"This needs a staff session or the scope {METRICS_SCOPE}."

    def has_permission(self, request: Request, view: APIView) -> bool:
        """Return whether the request may see the page. `visible_tenant` says how much of it."""
        if isinstance(request.auth, Operator):
            return True
        if isinstance(request.auth, Actor):
            return METRICS_SCOPE in request.auth.scopes
        if isinstance(request.auth, Identity):
            return has_scopes(request.auth, (METRICS_SCOPE,))
        return is_staff_session(request)


def visible_tenant(request: Request) -> str | None:
    """Return the slug of the one tenant whose metrics `request` may see; None means all tenants.

    The operator's token, an API key without a tenant and a superuser's session see all tenants. Any other
    token or key sees its own tenant.
    """
    if isinstance(request.auth, Actor):
        return request.auth.tenant
    if isinstance(request.auth, Operator) or (request.auth is None and request.user.is_superuser):
        return None
    tenant = tenant_of(request)
    # Without a tenant, authentication admits the operator only.
    assert tenant is not None
    return tenant.slug
