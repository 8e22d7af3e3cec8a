"""The people of a tenant and their profiles."""

from django.core.files.uploadedfile import UploadedFile
from django.db import transaction
from django.utils.translation import gettext as _

from accounts.core.text import is_visible
from accounts.models import MAX_NAME_CHARS, MAX_STATUS_CHARS, Membership
from chat import payloads, wire
from chat.files.services import file_store
from chat.models import File
from chat.rows import like
from chat.search.query import WORDS_MAX
from chat.selectors import members_present, person_of, person_rows
from chat.text import clean_emoji, clean_line
from realtime import ErrorCode, Publisher, RequestError, Tenant, UserId


def user_list(tenant_id: int, _user_id: UserId, payload: payloads.UserList) -> list[wire.Person]:
    """Find members of the tenant by part of their names.

    The active ones, by user name. Each of the first WORDS_MAX words is part of the user name or the display name.
    """
    people = members_present(tenant_id)
    for word in payload.query.split()[:WORDS_MAX]:
        people = people.filter(like("user__username__icontains", word) | like("name__icontains", word))
    return [wire.Person(*person_of(*row)) for row in person_rows(people)[: payload.limit]]


def profile_get(tenant_id: int, user_id: UserId) -> wire.Person:
    """Return the user's own profile.

    Raises RequestError(not_found) if the user is not an active member.
    """
    row = person_rows(members_present(tenant_id).filter(user_id=user_id)).first()
    if row is None:
        raise RequestError(ErrorCode.NOT_FOUND, _("There is no such member."))
    return wire.Person(*person_of(*row))


@transaction.atomic
def profile_update(tenant: Tenant, user: Publisher, payload: payloads.ProfileUpdate) -> wire.Person:
    """Change the user's display name and status.

    None keeps a value; an empty text clears it. Raises RequestError(invalid_message | not_found).
    """
    new: dict[str, str] = {}
    if payload.name is not None:
        new["name"] = clean_line(payload.name, field="name", max_chars=MAX_NAME_CHARS)
    if payload.status is not None:
        new["status"] = clean_line(payload.status, field="status", max_chars=MAX_STATUS_CHARS)
    if (emoji := payload.status_emoji) is not None:
        new["status_emoji"] = clean_emoji(emoji, field="status_emoji") if is_visible(emoji) else ""
    if new:
        # Takes no right away, so no revocation is needed.
        Membership.objects.filter(tenant_id=tenant.id, user_id=user.id, is_active=True).update(**new)
    return profile_get(tenant.id, user.id)


def picture_set(tenant: Tenant, user: Publisher, uploaded: "UploadedFile[bytes]") -> wire.Person:
    """Replace the user's profile picture. Raises as `file_store`."""
    file_store(tenant, user, uploaded, is_profile_picture=True)
    return profile_get(tenant.id, user.id)


@transaction.atomic
def picture_remove(tenant: Tenant, user: Publisher) -> wire.Person:
    """Delete the user's profile picture, if there is one."""
    File.objects.filter(tenant_id=tenant.id, uploader_id=int(user.id), is_profile_picture=True).delete()
    return profile_get(tenant.id, user.id)
