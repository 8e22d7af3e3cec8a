"""Who may read the figures, and whose."""

from dataclasses import dataclass
from hmac import compare_digest

from django.contrib.auth.models import AnonymousUser
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import NotAuthenticated
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.views import APIView

from realtime.core.identity import Identity
from realtime.core.scopes import has_scopes
from realtime.node import node as nodes
from realtime.node.staff import is_staff_session, tenant_of

METRICS_SCOPE = "metrics:read"


@dataclass(frozen=True, slots=True)
class Operator:
    """The bearer of METRICS_TOKEN: a machine of whoever runs the site, which sees every tenant."""


class MetricsTokenAuthentication(BaseAuthentication):
    """`Authorization: Bearer $METRICS_TOKEN`. Stands first: to the other ways that value is a bad token."""

    def authenticate(self, request: Request) -> tuple[AnonymousUser, Operator] | None:
        """Recognise the operator's token; anything else is left to the next way, if there is a tenant."""
        expected = nodes.current_node().settings.METRICS_TOKEN.encode()
        kind, _, given = get_authorization_header(request).partition(b" ")
        if expected and kind.lower() == b"bearer" and compare_digest(given.strip(), expected):
            return AnonymousUser(), Operator()
        if tenant_of(request) is None:
            raise NotAuthenticated("On a host of no tenant only the operator's token opens this page.")
        return None

    def authenticate_header(self, request: Request) -> str:
        """Makes the answer to nobody a 401."""
        return "Bearer"


class MayReadMetrics(BasePermission):
    """The operator's token, a token with the scope `metrics:read`, or a session of the tenant's staff."""

    message = f"This needs a staff session or the scope {METRICS_SCOPE}."

    def has_permission(self, request: Request, view: APIView) -> bool:
        """Whether the page may be seen at all; `visible_tenant` says how much of it."""
        if isinstance(request.auth, Operator):
            return True
        if isinstance(request.auth, Identity):
            return has_scopes(request.auth, (METRICS_SCOPE,))
        return is_staff_session(request)


def visible_tenant(request: Request) -> str | None:
    """The slug of the only tenant whose figures `request` may see; None is all of them.

    All are for the operator's token and for a superuser's session; a token is good for its tenant only.
    """
    if isinstance(request.auth, Operator) or (request.auth is None and request.user.is_superuser):
        return None
    tenant = tenant_of(request)
    # Authentication lets nobody else by where there is no tenant.
    assert tenant is not None
    return tenant.slug
