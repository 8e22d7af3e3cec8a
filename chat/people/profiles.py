"""The people of a tenant and their profiles."""

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _

from accounts.core.text import is_visible
from accounts.models import MAX_NAME_CHARS, MAX_STATUS_CHARS, Membership
from chat import wire
from chat.rendering.emoji import emoji_known
from chat.text import clean_line
from realtime import ErrorCode, Publisher, RequestError, Tenant, UserId

_COLUMNS = ("user_id", "user__username", "name", "status", "status_emoji")


def user_list(tenant_id: int, *, query: str, limit: int) -> list[wire.Person]:
    """Return active members by user name. `query` is part of the user name or the display name."""
    people = _present(tenant_id)
    words = query.split()
    for word in words:
        people = people.filter(Q(user__username__icontains=word) | Q(name__icontains=word))
    return [_person(*row) for row in people.order_by("user__username").values_list(*_COLUMNS)[:limit]]


def profile_get(tenant_id: int, user_id: UserId) -> wire.Person:
    """Return an active member; raises RequestError(not_found)."""
    row = _present(tenant_id).filter(user_id=user_id).values_list(*_COLUMNS).first()
    if row is None:
        raise RequestError(ErrorCode.NOT_FOUND, _("There is no such member."))
    return _person(*row)


@transaction.atomic
def profile_update(
    tenant: Tenant,
    user: Publisher,
    *,
    name: str | None = None,
    status: str | None = None,
    status_emoji: str | None = None,
) -> wire.Person:
    """Change the user's name, status text and status emoji. None keeps a value; an empty text clears it.

    Raises RequestError(invalid_message | not_found).
    """
    new: dict[str, str] = {}
    if name is not None:
        new["name"] = clean_line(name, field="name", max_chars=MAX_NAME_CHARS)
    if status is not None:
        new["status"] = clean_line(status, field="status", max_chars=MAX_STATUS_CHARS)
    if status_emoji is not None:
        new["status_emoji"] = _emoji(status_emoji)
    if new:
        # Takes no right away, so no revocation is needed.
        Membership.objects.filter(tenant_id=tenant.id, user_id=user.id, is_active=True).update(**new)
    return profile_get(tenant.id, user.id)


def _person(user_id: int, username: str, name: str, status: str, status_emoji: str) -> wire.Person:
    return wire.Person(user_id, username, name or username, status, status_emoji)


def _present(tenant_id: int) -> "QuerySet[Membership]":
    return Membership.objects.filter(tenant_id=tenant_id, is_active=True, user__is_active=True)


def _emoji(text: str) -> str:
    if not text or not is_visible(text):
        return ""
    emoji = emoji_known(text)
    if emoji is None:
        details = {"field": "payload.status_emoji"}
        raise RequestError(ErrorCode.INVALID_MESSAGE, _("This is no emoji."), details=details)
    return emoji
