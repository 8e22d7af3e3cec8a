"""The tenant of a request, and the session that belongs to it."""

from collections.abc import Callable
from functools import partial
from typing import Any

from asgiref.sync import sync_to_async
from django.contrib.auth import get_user
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest, HttpResponseBase, JsonResponse
from django.http.request import split_domain_port
from django.utils.functional import SimpleLazyObject

from accounts.models import User
from accounts.selectors import membership_of
from accounts.sessions import SessionStore
from accounts.tenants import Directory
from realtime.core.identity import Tenant
from realtime.middleware.gate import HOSTLESS_PATHS

GetResponse = Callable[[HttpRequest], HttpResponseBase]


class TenantMiddleware:
    """Sets `request.tenant`. An unknown host is answered 404, but for what load balancers ask by address (None)."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Answer the request with its tenant known."""
        tenant = _tenant_of(request)
        if tenant is None and request.path not in HOSTLESS_PATHS:
            error = {"code": "unknown_host", "message": "No tenant answers to this host."}
            return JsonResponse({"error": error}, status=404)
        request.tenant = tenant  # type: ignore[attr-defined]  # Django's requests carry what middleware adds
        return self.get_response(request)


class TenantSessionMiddleware:
    """Binds the session to the tenant: one made on another tenant's host is worth nothing here.

    The user is nobody, too, once their membership has ended. Neither costs a query until it is asked for.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Answer the request with its session and user replaced."""
        tenant: Tenant | None = request.tenant  # type: ignore[attr-defined]  # set above
        if tenant is None:
            request.user = AnonymousUser()
            return self.get_response(request)
        request.session = SessionStore(request.session.session_key, tenant_id=tenant.id)
        request.user = SimpleLazyObject(partial(_member_of, request, tenant))  # type: ignore[assignment]
        request.auser = partial(sync_to_async(_member_of), request, tenant)
        return self.get_response(request)


def _tenant_of(request: HttpRequest) -> Tenant | None:
    scope: dict[str, Any] = getattr(request, "scope", {})
    if "tenant" in scope:
        gated: Tenant | None = scope["tenant"]
        return gated
    # No gate in front (the test client, a WSGI server): one query, always fresh.
    host, _ = split_domain_port(request.get_host())
    return Directory().lookup(host)


def _member_of(request: HttpRequest, tenant: Tenant) -> User | AnonymousUser:
    user = get_user(request)
    if not isinstance(user, User) or membership_of(tenant.id, user.pk) is None:
        return AnonymousUser()
    return user
