"""The admin site, with the live page added."""

from typing import Any

from django.contrib.admin import AdminSite
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, URLResolver, path, reverse
from django.utils.translation import gettext as _

from realtime.dashboard.access import PERMISSION
from realtime.node.staff import is_staff_session
from realtime.protocol.close_codes import CLOSE_RULES

APP_LABEL = "realtime"
FEED_PATH = "/ws/admin/live/"
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
        return [live, *super().get_urls()]

    def live_view(self, request: HttpRequest) -> HttpResponse:
        """Show the page, without any metrics. 403 without the permission, or for staff of another tenant."""
        if not request.user.has_perm(PERMISSION) or not is_staff_session(request):
            raise PermissionDenied
        context = {
            **self.each_context(request),
            "title": _("Live connections"),
            "feed_path": FEED_PATH,
            "close_meanings": _CLOSE_MEANINGS,
            "reasons": (
                ("closed", _("Closed, by code"), _("Code")),
                ("errors", _("Errors, by code"), _("Code")),
                ("refused", _("Refused, by status"), _("Status")),
            ),
        }
        return TemplateResponse(request, "realtime/live.html", context)

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
