"""The admin site, with the live page added."""

from collections.abc import Callable
from typing import Any

from django.contrib.admin import AdminSite
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.middleware.csrf import get_token
from django.template.response import TemplateResponse
from django.urls import NoReverseMatch, URLPattern, URLResolver, path, reverse
from django.utils.translation import gettext as _

from realtime.control.bans import is_banned
from realtime.control.link import call
from realtime.control.lists import find_node, list_errors
from realtime.control.operators import session_actor
from realtime.core.actors import Actor
from realtime.dashboard.access import PERMISSION
from realtime.dashboard.finding import find_tenants, find_users
from realtime.dashboard.history import RANGE_MAX_S, health, values_of
from realtime.dashboard.selecting import select
from realtime.node import node as nodes
from realtime.node.staff import tenant_of
from realtime.protocol.close_codes import CLOSE_RULES
from realtime.protocol.errors import NotInForceError, RequestError

APP_LABEL = "realtime"
FEED_PATH = "/ws/admin/live/"
FIND_MAX_CHARS = 255
_CLOSE_MEANINGS = {
    **{str(int(code)): rule.meaning for code, rule in CLOSE_RULES.items()},
    # These codes are never sent. RFC 6455 section 7.4.1 reserves them for local use.
    "1005": "closed without a code",
    "1006": "connection lost",
}


class LiveAdminSite(AdminSite):
    """Adds `/admin/realtime/live/`: the open connections, for staff with `realtime.view_live`.

    The socket decides which tenants they see.
    """

    def get_urls(self) -> list[URLResolver | URLPattern]:
        """Return the admin's URLs and the live page's."""
        live: URLPattern = path("realtime/live/", self.admin_view(self.live_view), name="realtime_live")
        views = {
            "find": self.find_view,
            "samples": self.samples_view,
            "health": self.health_view,
            "errors": self.errors_view,
            "node": self.node_view,
        }
        parts: list[URLPattern] = [
            path(f"realtime/live/{name}/", self.admin_view(view), name=f"realtime_live_{name}")
            for name, view in views.items()
        ]
        return [live, *parts, *super().get_urls()]

    def has_permission(self, request: HttpRequest) -> bool:
        """Return whether the user may use the admin. Banned staff may not, or they could lift their own ban.

        A superuser may, banned or not.
        """
        tenant, may_use = tenant_of(request), super().has_permission(request)
        if not may_use or tenant is None or getattr(request.user, "is_superuser", False):
            return may_use
        # Each page of the admin asks several times.
        known = vars(request)
        if "is_banned" not in known:
            known["is_banned"] = is_banned(tenant.slug, user_id=request.user.pk)
        return not known["is_banned"]

    def live_view(self, request: HttpRequest) -> HttpResponse:
        """Show the page, without any metrics. 403 without the permission, or for staff of another tenant."""
        actor = _operator(request)
        context = {
            **self.each_context(request),
            "title": _("Live connections"),
            "feed_path": FEED_PATH,
            "config": self._config(request, actor),
        }
        return TemplateResponse(request, "realtime/live.html", context)

    def find_view(self, request: HttpRequest) -> HttpResponse:
        """Return tenants (`kind=tenant`, for operators of all) or users, with `q` in their names. 403 as for the page."""
        actor = _operator(request)
        is_of_tenants = request.GET.get("kind") == "tenant"
        if is_of_tenants and actor.tenant is not None:
            raise PermissionDenied
        text = request.GET.get("q", "")[:FIND_MAX_CHARS]
        rows = find_tenants(text) if is_of_tenants else find_users(text, actor.tenant)
        return JsonResponse({"count": len(rows), "results": rows})

    def samples_view(self, request: HttpRequest) -> JsonResponse:
        """Return the values of the charts for the last `range_s` seconds, of a tenant, a route or a node.

        400 for a wrong range; 404 for another tenant than the operator's own.
        """
        actor = _operator(request)
        range_s = _number(request.GET.get("range_s", ""))
        if range_s is None or not 0 < range_s <= RANGE_MAX_S:
            return _fault(400, _("Expected a range_s of at most {most}.").format(most=RANGE_MAX_S))
        wanted = {name: request.GET.get(name, "")[:FIND_MAX_CHARS] for name in ("tenant", "route", "node")}
        try:
            selection = select(actor.tenant, **wanted)
        except RequestError as error:
            return _fault(404, error.message)
        return JsonResponse(values_of(selection, range_s))

    def health_view(self, request: HttpRequest) -> JsonResponse:
        """Return how each node was over a day; 403 for operators of one tenant."""
        if _operator(request).tenant is not None:
            raise PermissionDenied
        return JsonResponse(health())

    def errors_view(self, request: HttpRequest) -> JsonResponse:
        """Return the last errors of all nodes, in groups; of one tenant for its operators."""
        tenant = _operator(request).tenant
        return _answer(lambda: call(lambda link: list_errors(link, tenant)).as_json())

    def node_view(self, request: HttpRequest) -> JsonResponse:
        """Return what the node `id` runs with; 404 if it does not answer, 403 for operators of one tenant."""
        if _operator(request).tenant is not None:
            raise PermissionDenied
        node = request.GET.get("id", "")[:FIND_MAX_CHARS]
        return _answer(lambda: call(lambda link: find_node(link, node)))

    def _config(self, request: HttpRequest, actor: Actor) -> dict[str, Any]:
        """Return the values that the scripts of the page need; the endpoints check everything themselves."""
        tenant, settings, api_path = tenant_of(request), nodes.current_node().settings, _api_path()
        return {
            "api_path": api_path,
            **{
                f"{name}_path": reverse(f"admin:realtime_live_{name}", current_app=self.name)
                for name in ("find", "samples", "health", "errors", "node")
            },
            "close_meanings": _CLOSE_MEANINGS,
            "objective_ms": settings.LATENCY_OBJECTIVE_S * 1000,
            "sample_interval_s": settings.SAMPLE_INTERVAL_S,
            "csrf_token": get_token(request),
            "host_tenant": tenant.slug if tenant is not None else "",
            "operator_orders": sorted(actor.orders()) if api_path else [],
            "operator_is_of_all": actor.tenant is None,
        }

    def get_app_list(self, request: HttpRequest, app_label: str | None = None) -> list[Any]:
        """Return the admin's index with an entry for the live page."""
        apps: list[Any] = super().get_app_list(request, app_label)
        if app_label not in {None, APP_LABEL} or not self.has_permission(request):
            return apps
        if not request.user.has_perm(PERMISSION):
            return apps
        address = reverse("admin:realtime_live", current_app=self.name)
        entry = {
            "name": _("Live connections"),
            "object_name": "LiveConnections",
            "perms": {"view": True},
            "admin_url": address,
            "add_url": None,
            "view_only": True,
        }
        ours = next((each for each in apps if each["app_label"] == APP_LABEL), None)
        if ours is None:
            ours = {
                "name": _("Realtime"),
                "app_label": APP_LABEL,
                "app_url": address,
                "has_module_perms": True,
                "models": [],
            }
            apps.insert(0, ours)
        ours["models"].insert(0, entry)
        return apps


def _operator(request: HttpRequest) -> Actor:
    """Return the operator of the request. Raises PermissionDenied without the permission, or for staff of
    another tenant."""
    actor = session_actor(request) if request.user.has_perm(PERMISSION) else None
    if actor is None:
        raise PermissionDenied
    return actor


def _api_path() -> str:
    """Return the path of the control endpoints; empty if the site has none. Then the page has no lists."""
    try:
        return reverse("realtime_nodes").removesuffix("nodes/")
    except NoReverseMatch:
        return ""


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _answer(read: Callable[[], dict[str, Any] | None]) -> JsonResponse:
    """Return what was read; 404 if there is nothing, 503 if the nodes cannot be asked."""
    try:
        found = read()
    except (NotInForceError, RequestError) as error:
        return _fault(503, str(error))
    return (
        JsonResponse(found) if found is not None else _fault(404, _("It does not exist, or does not answer."))
    )


def _fault(status: int, message: str) -> JsonResponse:
    return JsonResponse({"error": {"message": message}}, status=status)
