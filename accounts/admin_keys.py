"""The API keys of users who lose their rights. They go on, and whoever takes the rights away is told so."""

from collections.abc import Iterable
from urllib.parse import urlencode

from django.contrib import messages
from django.db.models import Model
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext as _

import realtime
from accounts.admin_scope import is_superuser, tenant_of
from accounts.models import Membership, User


def tenants_run_by(row: Model) -> set[int | None]:
    """Return the ids of the tenants that the user of `row`, a user or a membership, may make keys for now; None: all."""
    if not isinstance(row, (Membership, User)):
        return set()
    user = User.objects.filter(
        pk=row.user_id if isinstance(row, Membership) else row.pk, is_active=True
    ).first()
    if user is None:
        return set()
    staff = user.memberships.filter(is_active=True, role=Membership.Role.STAFF)
    return {*staff.values_list("tenant_id", flat=True), *([None] if user.is_superuser else [])}


def users_of(rows: Iterable[Model]) -> list[str]:
    """Return the names of the users in `rows`: users, memberships, and other rows that do not count."""
    ids = {
        row.user_id if isinstance(row, Membership) else row.pk
        for row in rows
        if isinstance(row, (Membership, User))
    }
    return list(User.objects.filter(pk__in=ids).values_list("username", flat=True)) if ids else []


def warn_of_keys(request: HttpRequest, usernames: list[str]) -> None:
    """Tell the administrator that keys which these users made go on: staff of those for their tenant."""
    tenant = None if is_superuser(request) else tenant_of(request).slug
    count = realtime.count_keys_made_by(usernames, tenant=tenant) if usernames else 0
    if count:
        text = _("API keys that {users} made go on ({count}). Delete those that nobody else uses:")
        is_one = len(usernames) == 1
        url = reverse("admin:realtime_apikey_changelist") + (
            f"?{urlencode({'q': usernames[0]})}" if is_one else ""
        )
        names, link = (
            usernames[0] if is_one else _("these users"),
            format_html('<a href="{}">{}</a>', url, _("API keys")),
        )
        messages.warning(request, format_html("{} {}", text.format(count=count, users=names), link))
