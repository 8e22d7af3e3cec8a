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


def without_staff_rights(rows: Iterable[Model]) -> list[str]:
    """Return the names of the users in `rows`, users and memberships, that may make no key by this row any more."""
    return users_of(row for row in rows if not _is_staff(row))


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


def _is_staff(row: Model) -> bool:
    if isinstance(row, Membership):
        return row.is_active and row.is_staff
    return isinstance(row, User) and row.is_active and row.is_staff
