"""Uploading and reading files, and deleting those that were never sent."""

import logging
from datetime import timedelta

from django.core.files.base import ContentFile
from django.core.files.uploadedfile import UploadedFile
from django.db import transaction
from django.db.models import Count, Exists, OuterRef, Q, Sum
from django.db.models.functions import Coalesce
from django.utils import timezone
from django.utils.module_loading import import_string
from django.utils.translation import gettext as _

from accounts.core.text import TextError, clean_name
from accounts.models import Membership
from accounts.models import Tenant as TenantRow
from chat import wire
from chat.errors import field_error, require_at_most
from chat.files.pictures import Picture, picture_encode, picture_pool, profile_picture_encode
from chat.files.settings import FileSettings, file_settings
from chat.files.signatures import HEAD_BYTES, PICTURES, file_type
from chat.files.storage import (
    THUMBNAIL,
    contents_delete,
    file_path,
    file_storage,
    storage_failure,
)
from chat.models import File, RoomMembership
from chat.selectors import members_present
from chat.text import FILE_NAME_MAX_CHARS
from realtime import ErrorCode, Publisher, RequestError, Tenant, UserId

logger = logging.getLogger(__name__)

# The time that unattached files are kept, and the number of files that one sweep deletes.
UNATTACHED = timedelta(days=1)
SWEEP_BATCH = 100
# Unattached files of one user in a tenant: beyond it `limit_exceeded`.
UNATTACHED_MAX = 100


def file_store(
    tenant: Tenant, user: Publisher, uploaded: "UploadedFile[bytes]", *, is_profile_picture: bool = False
) -> wire.File:
    """Store a file that may be attached to a message of the same user, or the user's profile picture.

    Raises RequestError(invalid_message | message_too_large | limit_exceeded | rate_limited | internal).
    """
    limits = file_settings()
    name = file_name(uploaded.name or "")
    if limits.file_bytes_max and (uploaded.size or 0) > limits.file_bytes_max:
        message = _("A file has at most {most} bytes.").format(most=limits.file_bytes_max)
        raise RequestError(ErrorCode.MESSAGE_TOO_LARGE, message)
    content = uploaded.read()
    kind = file_type(content[:HEAD_BYTES], name)
    if kind is None or (is_profile_picture and kind not in PICTURES):
        raise field_error("file", _("Files of this type are not taken."))
    _scan(limits, content, name, kind)
    picture: Picture | None = None
    if kind in PICTURES:
        encode = profile_picture_encode if is_profile_picture else picture_encode
        picture = picture_pool().run(encode, content, PICTURES[kind], pixels_max=limits.picture_pixels_max)
        content = picture.content
    file = File(
        tenant_id=tenant.id,
        uploader_id=int(user.id),
        name=name,
        type="image/webp" if is_profile_picture else kind,
        size=len(content),
        width=None if picture is None else picture.width,
        height=None if picture is None else picture.height,
        is_profile_picture=is_profile_picture,
    )
    _insert(limits, file, content, picture)
    return wire.file_of(file.pk, file.name, file.type, file.size, file.width, file.height)


def access_file(tenant_id: int, user_id: UserId, file_id: int) -> File:
    """Return a file of the user, of a message that the user may read, or a profile picture of the tenant.

    Raises RequestError(not_found).
    """
    mine = RoomMembership.objects.filter(user_id=user_id, room__archived_at__isnull=True)
    readable = Q(message__room__in=mine.values("room_id"), message__deleted_at__isnull=True)
    own = Q(message__isnull=True, uploader_id=user_id)
    shown = Q(is_profile_picture=True, uploader__in=members_present(tenant_id).values("user_id"))
    file = File.objects.filter(readable | own | shown, pk=file_id, tenant_id=tenant_id).first()
    if file is None:
        raise RequestError(ErrorCode.NOT_FOUND, _("There is no such file."))
    return file


def sweep() -> bool:
    """Delete files that were not sent within a day, and profile pictures of former members: SWEEP_BATCH of each.

    Return whether some may be left.
    """
    unattached = File.objects.filter(message=None)
    unsent = unattached.filter(is_profile_picture=False, created_at__lte=timezone.now() - UNATTACHED)
    # An account that was deleted has no membership either.
    members = Membership.objects.filter(tenant=OuterRef("tenant"), user=OuterRef("uploader"))
    left = unattached.filter(~Exists(members), is_profile_picture=True)
    # Read first, so that there is no write and no lock without expired rows. The first query reads these rows by an index;
    # the second reads the picture of every user, by an index too.
    ids = [pk for rows in (unsent, left) for pk in rows.values_list("pk", flat=True)[:SWEEP_BATCH]]
    if not ids:
        return False
    with transaction.atomic():
        # A file that was sent meanwhile stays. Locked, because `delete` reads the rows before it deletes them.
        expired = File.objects.select_for_update().filter(pk__in=ids, message__isnull=True).order_by("pk")
        File.objects.filter(pk__in=list(expired.values_list("pk", flat=True))).delete()
    return len(ids) >= SWEEP_BATCH


def file_name(name: str) -> str:
    """Return the last part of a name, visible and short; `file` if nothing is left of it."""
    last = name.replace("\\", "/").rpartition("/")[2]
    visible = "".join(char for char in last if char.isprintable())
    stem, dot, ending = visible.rpartition(".")
    if len(visible) > FILE_NAME_MAX_CHARS:
        visible = (stem or ending)[: FILE_NAME_MAX_CHARS - 20] + dot + ending[:19]
    try:
        return clean_name(visible, max_chars=FILE_NAME_MAX_CHARS)
    except TextError:
        return f"file.{ending}" if dot and ending.isascii() and ending.isalnum() else "file"


def _insert(limits: FileSettings, file: File, content: bytes, picture: Picture | None) -> None:
    """Write the content, and then the row if there is space. Without a row the content is deleted."""
    try:
        # Before the transaction, which locks the tenant, and with SQLite the database: a disk may be slow.
        _save(file_path(file.tenant_id, file.key), content, picture)
        with transaction.atomic():
            _make_space(limits, file)
            file.save(force_insert=True)
    except BaseException:
        contents_delete([(file.tenant_id, file.key)])
        raise


def _save(path: str, content: bytes, picture: Picture | None) -> None:
    storage = file_storage()
    try:
        storage.save(path, ContentFile(content))
        if picture is not None:
            storage.save(path + THUMBNAIL, ContentFile(picture.thumbnail))
    except OSError as error:
        raise storage_failure(error) from error


def _make_space(limits: FileSettings, file: File) -> None:
    """Delete the profile picture that a new one replaces; raise RequestError(limit_exceeded) without space."""
    # Locks the tenant, so that the sums stay true until the commit.
    TenantRow.objects.select_for_update(no_key=True).filter(pk=file.tenant_id).first()
    files = File.objects.filter(tenant_id=file.tenant_id)
    own = Q(uploader_id=file.uploader_id)
    if file.is_profile_picture:
        files.filter(own, is_profile_picture=True).delete()
    held = files.aggregate(
        bytes=Coalesce(Sum("size"), 0),
        own_bytes=Coalesce(Sum("size", filter=own), 0),
        count=Count("pk"),
        own_count=Count("pk", filter=own),
    )
    no_space = _("There is no more space for files here.")
    require_at_most(limits.file_tenant_bytes_max, held["bytes"] + file.size, no_space)
    require_at_most(limits.file_tenant_count_max, held["count"] + 1, no_space)
    no_own_space = _("Your files take up all the space that one person has.")
    require_at_most(limits.file_user_bytes_max, held["own_bytes"] + file.size, no_own_space)
    require_at_most(limits.file_user_count_max, held["own_count"] + 1, no_own_space)
    unsent = files.filter(own, message__isnull=True, is_profile_picture=False)
    if not file.is_profile_picture:
        require_at_most(UNATTACHED_MAX, unsent.count() + 1, _("Send the files that you have uploaded first."))


def _scan(limits: FileSettings, content: bytes, name: str, kind: str) -> None:
    if not limits.file_scanner:
        return
    scan = import_string(limits.file_scanner)
    try:
        reason = scan(content, name, kind)
    except Exception:
        # Fail closed: a file that could not be scanned is refused.
        logger.exception("The scanner failed; the file was refused")
        reason = _("It could not be checked.")
    if reason:
        raise field_error("file", _("This file is not taken. {reason}").format(reason=reason))
