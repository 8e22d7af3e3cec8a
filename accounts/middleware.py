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
from realtime import HOSTLESS_PATHS, Refusal, Tenant

# Where a request keeps what refused it.
REFUSAL = "_refusal"

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
        if request.encoding is not None:
            # Named by the client; Python has some that are no encodings of text. Forms and JSON are UTF-8 here.
            request.encoding = "utf-8"
        return self.get_response(request)


class RefusalMiddleware:
    """Gives what was refused its status and `Retry-After`: a page that shows it (`refuse_by`), or JSON."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Answer the request."""
        response = self.get_response(request)
        refusal: Refusal | None = getattr(request, REFUSAL, None)
        if refusal is None:
            return response
        response.status_code = refusal.status
        return _with_wait(response, refusal)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponseBase | None:
        """A view that let a Refusal through."""
        if not isinstance(exception, Refusal):
            return None
        error = {"code": exception.code, "message": exception.message}
        return _with_wait(JsonResponse({"error": error}, status=exception.status), exception)


def refuse_by(request: HttpRequest, refusal: Refusal) -> None:
    """Answer `request` with the page it gets, under the status of `refusal`."""
    setattr(request, REFUSAL, refusal)


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


def _with_wait(response: HttpResponseBase, refusal: Refusal) -> HttpResponseBase:
    if refusal.retry_after_s is not None:
        response["Retry-After"] = str(refusal.retry_after_s)
    return response


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
