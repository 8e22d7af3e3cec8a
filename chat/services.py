"""The chat's use cases. Each is one transaction, run in a database thread; it announces on commit."""

from dataclasses import replace
from uuid import UUID, uuid4

from django.db import IntegrityError, transaction
from django.utils import timezone

from accounts.models import Membership
from accounts.models import Tenant as TenantRow
from chat import announcements
from chat.demo_rooms import DEMO_ROOMS
from chat.models import Message, Room, RoomMembership
from chat.selectors import RoomView, access_joined_room, access_room, room_get
from chat.text import clean_room_name, clean_text, room_name_key
from realtime.core.history import Publisher
from realtime.core.identity import Tenant
from realtime.protocol.errors import ErrorCode, RequestError

# Open rooms of a tenant: beyond it `limit_exceeded`.
ROOMS_MAX = 1000


def room_create(tenant: Tenant, creator: Publisher, *, name: str, is_public: bool = True) -> RoomView:
    """Make a room with its creator in it. RequestError(invalid_message | conflict | limit_exceeded)."""
    name = clean_room_name(name)
    try:
        with transaction.atomic():
            room = _room_insert(tenant.id, creator.id, name=name, is_public=is_public)
            view = room_get(tenant.id, creator.id, room.pk)
            announcements.announce_joined(tenant, creator, view)
    except IntegrityError:
        if not _is_name_taken(tenant.id, name):
            raise
        raise RequestError(
            ErrorCode.CONFLICT, "There is a room of this name.", details={"field": "payload.name"}
        ) from None
    return view


def room_join(tenant: Tenant, user: Publisher, *, room_id: int) -> RoomView:
    """Enter a room, all so far taken as read; who is in it already stays. Raises RequestError(not_found)."""
    with transaction.atomic():
        access_room(tenant.id, user.id, room_id)
        return room_admit(tenant, user, room_id=room_id)


@transaction.atomic
def room_admit(tenant: Tenant, user: Publisher, *, room_id: int) -> RoomView:
    """Put somebody into a room, whether or not they could see it before: for who may decide that (the admin).

    Raises RequestError(not_found).
    """
    rooms = Room.objects.select_for_update(no_key=True).filter(
        pk=room_id, tenant_id=tenant.id, archived_at__isnull=True
    )
    room = rooms.first()
    if room is None:
        raise RequestError(ErrorCode.NOT_FOUND, "There is no such room.")
    _, has_joined = RoomMembership.objects.get_or_create(
        room=room, user_id=user.id, defaults={"read_seq": room.last_seq}
    )
    view = room_get(tenant.id, user.id, room_id)
    if has_joined:
        announcements.announce_joined(tenant, user, view)
    return view


def room_leave(tenant: Tenant, user: Publisher, *, room_id: int) -> None:
    """Go out of a room; who is not in it stays out. A private room that nobody is left in is archived.

    Raises RequestError(not_found).
    """
    with transaction.atomic():
        room = access_room(tenant.id, user.id, room_id, lock=True)
        view = room_get(tenant.id, user.id, room_id)
        if not view.is_member:
            return
        RoomMembership.objects.filter(room=room, user_id=user.id).delete()
        if not (room.is_public or RoomMembership.objects.filter(room=room).exists()):
            room.archived_at = timezone.now()
            room.save(update_fields=["archived_at"])
        after = replace(view, member_count=view.member_count - 1, read_seq=None)
        announcements.announce_left(tenant, user, after)


def message_send(
    tenant: Tenant, author: Publisher, *, room_id: int, text: str, client_msg_id: UUID
) -> Message:
    """Store the next message of a room; the same `client_msg_id` and text give the first one again.

    Sending marks the room as read up to the message. Raises RequestError(invalid_message | not_found |
    permission_denied | conflict).
    """
    text = clean_text(text)
    try:
        with transaction.atomic():
            message = _message_store(tenant.id, author.id, room_id, text, client_msg_id)
            announcements.announce_message(tenant, author, message)
    except IntegrityError:
        earlier = _message_named(tenant.id, author.id, client_msg_id)
        if earlier is None:
            raise
        if (earlier.room_id, earlier.text) != (room_id, text):
            raise RequestError(
                ErrorCode.CONFLICT,
                "This client_msg_id is the name of another message.",
                details={"field": "payload.client_msg_id"},
            ) from None
        return earlier
    return message


def read_mark(tenant: Tenant, user: Publisher, *, room_id: int, seq: int) -> int:
    """Mark a room as read up to `seq`, never back nor past its end; returns where the mark is now.

    Raises RequestError(not_found | permission_denied).
    """
    with transaction.atomic():
        membership = access_joined_room(tenant.id, user.id, room_id)
        seq = min(seq, membership.room.last_seq)
        if not _read_move(membership, seq):
            membership.refresh_from_db(fields=["read_seq"])
            return membership.read_seq
        announcements.announce_read(tenant, user, room_id=room_id, seq=seq)
    return seq


def typing_announce(tenant: Tenant, user: Publisher, *, room_id: int) -> None:
    """Tell a room that the user is typing; raises RequestError(not_found | permission_denied)."""
    access_joined_room(tenant.id, user.id, room_id)
    announcements.announce_typing(tenant, user, room_id=room_id)


@transaction.atomic
def seed_demo_rooms(tenant: TenantRow) -> None:
    """Add the demo's missing rooms, and all of the tenant's people to each of them. Nothing is announced."""
    people = [each.user_id for each in Membership.objects.filter(tenant=tenant).order_by("user_id")]
    for name, lines in DEMO_ROOMS.items():
        room, is_new = Room.objects.get_or_create(
            tenant=tenant, name_key=room_name_key(name), archived_at=None, defaults={"name": name}
        )
        memberships = [RoomMembership(room=room, user_id=user, read_seq=room.last_seq) for user in people]
        RoomMembership.objects.bulk_create(memberships, ignore_conflicts=True)
        for author, text in lines if is_new and people else ():
            _message_store(tenant.pk, people[author % len(people)], room.pk, text, uuid4())


def _room_insert(tenant_id: int, creator_id: int, *, name: str, is_public: bool) -> Room:
    if Room.objects.filter(tenant_id=tenant_id, archived_at__isnull=True).count() >= ROOMS_MAX:
        raise RequestError(ErrorCode.LIMIT_EXCEEDED, f"There are {ROOMS_MAX} rooms already.")
    room = Room.objects.create(
        tenant_id=tenant_id,
        name=name,
        name_key=room_name_key(name),
        is_public=is_public,
        created_by_id=creator_id,
    )
    RoomMembership.objects.create(room=room, user_id=creator_id)
    return room


def _is_name_taken(tenant_id: int, name: str) -> bool:
    rooms = Room.objects.filter(tenant_id=tenant_id, archived_at__isnull=True)
    return rooms.filter(name_key=room_name_key(name)).exists()


def _message_store(tenant_id: int, author_id: int, room_id: int, text: str, client_msg_id: UUID) -> Message:
    """Insert the next message. The room stays locked until the end, so its numbers have no holes.

    Raises IntegrityError for a `client_msg_id` used before: looking first would cost every message a query.
    """
    membership = access_joined_room(tenant_id, author_id, room_id, lock=True)
    room = membership.room
    room.last_seq += 1
    room.save(update_fields=["last_seq"])
    message = Message.objects.create(
        tenant_id=tenant_id,
        room=room,
        seq=room.last_seq,
        author=membership.user,
        text=text,
        client_msg_id=client_msg_id,
    )
    _read_move(membership, message.seq)
    return message


def _message_named(tenant_id: int, author_id: int, client_msg_id: UUID) -> Message | None:
    messages = Message.objects.filter(tenant_id=tenant_id, author_id=author_id, client_msg_id=client_msg_id)
    return messages.select_related("author").first()


def _read_move(membership: RoomMembership, seq: int) -> bool:
    mark = RoomMembership.objects.filter(pk=membership.pk, read_seq__lt=seq)
    return mark.update(read_seq=seq) > 0
