"""The answer to a form that Django's CSRF protection refuses: it gives the cause and the remedy."""

from enum import StrEnum

from django.contrib.auth.views import RedirectURLMixin
from django.http import HttpRequest, HttpResponseBase
from django.middleware.csrf import REASON_NO_CSRF_COOKIE
from django.shortcuts import redirect, render
from django.urls import reverse

from realtime import parse_host, parse_origin

# Pages to sign in, and where each leads to without `next`.
SIGN_IN_PAGES = {"login": "chat:page", "admin:login": "admin:index"}


class Cause(StrEnum):
    """The causes of a refusal; `templates/403_csrf.html` has a text for each."""

    PORT = "the port is missing behind the proxy"
    SCHEME = "the scheme is missing behind the proxy"
    OTHER_SITE = "another site sent the form"
    NO_COOKIE = "there is no cookie"
    OLD_FORM = "the form is too old"


def form_refused(request: HttpRequest, reason: str = "") -> HttpResponseBase:
    """Show the cause of the refusal. `reason` is Django's; settings.CSRF_FAILURE_VIEW names this view.

    Signing in gives the browser a new token. So a second tab with the sign-in page has an old one: it is let
    in, because the browser is signed in already.
    """
    if (page := _sign_in_page(request)) and request.user.is_authenticated and _is_own(reason):
        return redirect(_destination(request, page))
    context = {
        "cause": _cause(request, reason).name,
        "sent_from": request.headers.get("Origin") or request.headers.get("Referer", ""),
        "asked_as": f"{request.scheme}://{request.get_host()}",
        "sign_in_page": reverse(page) if page else "",
    }
    return render(request, "403_csrf.html", context, status=403)


def _is_own(reason: str) -> bool:
    """Return whether the form came from a page of this site, although its token is wrong."""
    return not reason.startswith(("Origin ", "Referer "))


def _sign_in_page(request: HttpRequest) -> str:
    name = request.resolver_match.view_name if request.resolver_match else ""
    return name if name in SIGN_IN_PAGES else ""


def _destination(request: HttpRequest, page: str) -> str:
    chosen = RedirectURLMixin()
    chosen.request = request  # type: ignore[attr-defined]  # as a view's
    return chosen.get_redirect_url() or reverse(SIGN_IN_PAGES[page])


def _cause(request: HttpRequest, reason: str) -> Cause:
    if _is_own(reason):
        return Cause.NO_COOKIE if reason == REASON_NO_CSRF_COOKIE else Cause.OLD_FORM
    origin = parse_origin(request.headers.get("Origin", ""))
    host = parse_host(request.get_host())
    if origin is None or host is None or origin.host != host.name:
        return Cause.OTHER_SITE
    return Cause.SCHEME if origin.scheme != request.scheme else Cause.PORT
