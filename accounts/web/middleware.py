"""The tenant of a request, and the session of that tenant."""

from collections.abc import Callable
from functools import partial
from typing import Any

from asgiref.sync import sync_to_async
from django.contrib.auth import get_user
from django.contrib.auth.models import AnonymousUser
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.http.request import split_domain_port
from django.template.loader import get_template
from django.utils.functional import SimpleLazyObject
from django.utils.translation import gettext as _

from accounts.credentials.sessions import SessionStore
from accounts.models import User
from accounts.selectors import MEMBERSHIP, membership_of
from accounts.tenants import Directory
from realtime import HOSTLESS_PATHS, Refusal, Tenant, log_database_fault

# Of a page that needs a database that cannot be reached.
AWAY_STATUS = 503
# The request attribute that holds a refusal.
REFUSAL = "_refusal"

GetResponse = Callable[[HttpRequest], HttpResponseBase]


class TenantMiddleware:
    """Sets `request.tenant`. An unknown host gets 404, except on HOSTLESS_PATHS, where the tenant is None."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Answer the request with its tenant set."""
        tenant = _tenant_of(request)
        if tenant is None and request.path not in HOSTLESS_PATHS:
            error = {"code": "unknown_host", "message": _("No tenant answers to this host.")}
            return JsonResponse({"error": error}, status=404)
        request.tenant = tenant  # type: ignore[attr-defined]  # Django's requests carry what middleware adds
        if request.encoding is not None:
            # The client names the encoding, and some of Python's codecs do not decode text. Forms and JSON
            # are UTF-8.
            request.encoding = "utf-8"
        return self.get_response(request)


class RefusalMiddleware:
    """Answers a Refusal with its status and `Retry-After`, on the view's page (`refuse_by`) or as JSON."""

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
        """Answer a Refusal that a view raised, and a database that cannot be reached, as the HTTP interface does."""
        if isinstance(exception, OperationalError | InterfaceError):
            log_database_fault("A page", exception)
            page = get_template("500.html").render({"status": AWAY_STATUS})
            return HttpResponse(page, status=AWAY_STATUS, headers={"Retry-After": "1"})
        if not isinstance(exception, Refusal):
            return None
        error = {"code": exception.code, "message": exception.message}
        return _with_wait(JsonResponse({"error": error}, status=exception.status), exception)


def refuse_by(request: HttpRequest, refusal: Refusal) -> None:
    """Make the answer to `request` keep its page but use the status of `refusal`."""
    setattr(request, REFUSAL, refusal)


class TenantSessionMiddleware:
    """Binds the session to the tenant: a session of another tenant is not valid here.

    The user is anonymous after the membership has ended. There is no query until the session or user is used.
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
    # Without realtime's middleware in front (the test client, a WSGI server): one query, always current.
    host, _ = split_domain_port(request.get_host())
    return Directory().lookup(host)


def _member_of(request: HttpRequest, tenant: Tenant) -> User | AnonymousUser:
    user = get_user(request)
    membership = membership_of(tenant.id, user.pk) if isinstance(user, User) else None
    setattr(request, MEMBERSHIP, membership)
    return user if isinstance(user, User) and membership is not None else AnonymousUser()
