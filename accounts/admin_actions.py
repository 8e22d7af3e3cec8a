"""Actions of the admin's lists that concern sockets. Each asks once, with a reason for the audit log."""

from collections.abc import Callable
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

import realtime
from accounts.models import Tenant, User

CONTROL_SCOPE = "control:write"
REASON_MAX_CHARS = 200

Work = Callable[[Any, str, realtime.Actor], int]


@admin.action(description=gettext_lazy("Sign out everywhere"), permissions=["revoke"])
def sign_out_everywhere(
    model_admin: "admin.ModelAdmin[User]", request: HttpRequest, queryset: QuerySet[User]
) -> TemplateResponse | None:
    """End all tokens and sessions of the chosen users: for staff those of their tenant, for superusers all."""

    def sign_out(user: User, reason: str, actor: realtime.Actor) -> int:
        return realtime.revoke_user(user.pk, tenant=actor.tenant, reason=reason, actor=actor)

    return _asked_once(model_admin, request, queryset, sign_out)


@admin.action(description=gettext_lazy("Suspend: hosts answer 404, sockets close"), permissions=["change"])
def suspend(
    model_admin: "admin.ModelAdmin[Tenant]", request: HttpRequest, queryset: QuerySet[Tenant]
) -> TemplateResponse | None:
    """Suspend the chosen tenants."""
    return _asked_once(
        model_admin,
        request,
        queryset,
        lambda tenant, reason, actor: realtime.suspend_tenant(tenant.slug, reason=reason, actor=actor),
    )


@admin.action(description=gettext_lazy("Resume after a suspension"), permissions=["change"])
def resume(
    model_admin: "admin.ModelAdmin[Tenant]", request: HttpRequest, queryset: QuerySet[Tenant]
) -> TemplateResponse | None:
    """Let the chosen tenants go on."""
    return _asked_once(
        model_admin,
        request,
        queryset,
        lambda tenant, reason, actor: realtime.resume_tenant(tenant.slug, reason=reason, actor=actor),
    )


def _asked_once(
    model_admin: "admin.ModelAdmin[Any]", request: HttpRequest, queryset: QuerySet[Any], work: Work
) -> TemplateResponse | None:
    """Ask, or call `work(row, reason, actor)` for every row. Raises PermissionDenied without the scope."""
    actor = realtime.session_actor(request)
    if actor is None or CONTROL_SCOPE not in actor.scopes:
        raise PermissionDenied
    if "confirmed" in request.POST:
        reason = request.POST.get("reason", "")[:REASON_MAX_CHARS]
        done = sum(work(row, reason, actor) > 0 for row in queryset)
        model_admin.message_user(
            request, _("Done for {done} of {count}.").format(done=done, count=len(queryset)), messages.SUCCESS
        )
        return None
    name = request.POST["action"]
    action = model_admin.get_actions(request).get(name)
    if action is None:
        raise PermissionDenied
    context = {
        **model_admin.admin_site.each_context(request),
        "title": action[2],
        "rows": queryset,
        "action": name,
        "checkbox_name": ACTION_CHECKBOX_NAME,
        "opts": model_admin.opts,
        "reason_max_chars": REASON_MAX_CHARS,
    }
    return TemplateResponse(request, "admin/ask_once.html", context)
