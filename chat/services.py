"""The chat's writing services. Each is one transaction in a database thread, and announces on commit."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from uuid import UUID, uuid4

from django.db import DatabaseError, IntegrityError, transaction
from django.db.models import Count, Q
from django.utils import timezone

from accounts.models import Membership
from accounts.models import Tenant as TenantRow
from chat import announcements, sql
from chat.batches import MessageDraft, MessageName, Numbered, judge, no_such_room
from chat.demo_rooms import DEMO_ROOMS
from chat.models import Room, RoomMembership
from chat.selectors import (
    MessageView,
    RoomView,
    access_joined_room,
    access_room,
    access_to_write,
    room_get,
)
from chat.text import clean_room_name, room_name_key
from realtime import ErrorCode, Publisher, RequestError, Tenant, UserId, retry_after_ms

# Open rooms of a tenant, and open rooms that one user created in it: beyond it `limit_exceeded`.
ROOMS_MAX = 1000
ROOMS_OF_CREATOR_MAX = 200
# Rooms that one user may create in a tenant within a minute, including archived ones: beyond it
# `rate_limited`.
ROOMS_PER_MINUTE = 60
_MINUTE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Sent:
    """A draft and its stored message. If `is_new`, it was stored now and still has to be announced."""

    draft: MessageDraft
    message: MessageView
    is_new: bool


# The result of a draft; a DatabaseError if its own transaction failed.
Outcome = Sent | RequestError | DatabaseError


def room_create(tenant: Tenant, creator: Publisher, *, name: str, is_public: bool = True) -> RoomView:
    """Create a room that its creator is in.

    Raises RequestError(invalid_message | conflict | limit_exceeded | rate_limited).
    """
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
            ErrorCode.CONFLICT, "A room of this name exists already.", details={"field": "payload.name"}
        ) from None
    return view


def room_join(tenant: Tenant, user: Publisher, *, room_id: int) -> RoomView:
    """Join a room and mark its messages as read. A member stays unchanged. Raises RequestError(not_found)."""
    with transaction.atomic():
        access_room(tenant.id, user.id, room_id)
        return room_admit(tenant, user, room_id=room_id)


@transaction.atomic
def room_admit(tenant: Tenant, user: Publisher, *, room_id: int) -> RoomView:
    """Add a user to a room, even to one that the user cannot see. The caller must be allowed to (the admin).

    Raises RequestError(not_found).
    """
    rooms = Room.objects.select_for_update(no_key=True).filter(
        pk=room_id, tenant_id=tenant.id, archived_at__isnull=True
    )
    room = rooms.first()
    if room is None:
        raise no_such_room()
    _, has_joined = RoomMembership.objects.get_or_create(
        room=room, user_id=user.id, defaults={"read_seq": room.last_seq}
    )
    view = room_get(tenant.id, user.id, room_id)
    if has_joined:
        announcements.announce_joined(tenant, user, view)
    return view


def room_leave(tenant: Tenant, user: Publisher, *, room_id: int) -> None:
    """Leave a room, if the user is in it. A private room is archived when its last member leaves.

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


def room_silence(tenant: Tenant, *, room_id: int) -> None:
    """End all subscriptions to an archived room, because a subscriber could still announce typing in it."""
    user_ids = RoomMembership.objects.filter(room_id=room_id).values_list("user_id", flat=True)
    announcements.end_hearing(tenant, room_id=room_id, user_ids=list(user_ids))


def message_send(
    tenant: Tenant, author: Publisher, *, room_id: int, text: str, client_msg_id: UUID
) -> MessageView:
    """Store and announce the next message of a room.

    The same `client_msg_id` and text return the first message. Sending marks the room as read up to the
    message. Raises RequestError(invalid_message | not_found | permission_denied | conflict).
    """
    (outcome,) = messages_send([MessageDraft(tenant, author, room_id, text, client_msg_id)])
    if not isinstance(outcome, Sent):
        raise outcome
    if outcome.is_new:
        announcements.announce_message(tenant, author, outcome.message)
    return outcome.message


def messages_send(drafts: Sequence[MessageDraft]) -> list[Outcome]:
    """Store messages of several users in one transaction, in order, and return the result of each.

    The caller announces them after the commit. Raises DatabaseError if nothing could be stored.
    """
    try:
        return _messages_store(drafts)
    except IntegrityError:
        # Another process used one of the names meanwhile, or an author was deleted. Only that draft must
        # fail.
        return [_message_store_alone(draft) for draft in drafts]


def read_mark(tenant: Tenant, user: Publisher, *, room_id: int, seq: int) -> int:
    """Mark a room as read up to `seq` and return the read mark. It never moves back or past the last message.

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


@transaction.atomic
def seed_demo_rooms(tenant: TenantRow) -> None:
    """Add the missing rooms of the demo, with all members of the tenant in each. Nothing is announced."""
    memberships = Membership.objects.filter(tenant=tenant).select_related("user").order_by("user_id")
    people = [Publisher(each.user_id, each.user.get_username()) for each in memberships]
    here = Tenant(tenant.pk, tenant.slug, tenant.name)
    for name, lines in DEMO_ROOMS.items():
        room, is_new = Room.objects.get_or_create(
            tenant=tenant, name_key=room_name_key(name), archived_at=None, defaults={"name": name}
        )
        joined = [RoomMembership(room=room, user_id=each.id, read_seq=room.last_seq) for each in people]
        RoomMembership.objects.bulk_create(joined, ignore_conflicts=True)
        if is_new and people:
            authors = [people[author % len(people)] for author, _ in lines]
            texts = [text for _, text in lines]
            messages_send(
                [
                    MessageDraft(here, author, room.pk, text, uuid4())
                    for author, text in zip(authors, texts, strict=True)
                ]
            )


def _room_insert(tenant_id: int, creator_id: UserId, *, name: str, is_public: bool) -> Room:
    _require_space(tenant_id, creator_id)
    room = Room.objects.create(
        tenant_id=tenant_id,
        name=name,
        name_key=room_name_key(name),
        is_public=is_public,
        created_by_id=creator_id,
    )
    RoomMembership.objects.create(room=room, user_id=creator_id)
    return room


def _require_space(tenant_id: int, creator_id: UserId) -> None:
    """Raise RequestError(limit_exceeded | rate_limited) if the tenant or the creator has too many rooms."""
    # Locks the tenant, so that the counts stay true until the commit. SQLite needs no row lock: its
    # transactions take the write lock when they begin.
    TenantRow.objects.select_for_update(no_key=True).filter(pk=tenant_id).first()
    own = Q(created_by_id=creator_id)
    open_now = Room.objects.filter(tenant_id=tenant_id, archived_at__isnull=True)
    count = open_now.aggregate(all=Count("pk"), own=Count("pk", filter=own))
    if ROOMS_MAX and count["all"] >= ROOMS_MAX:
        raise RequestError(ErrorCode.LIMIT_EXCEEDED, f"There are {ROOMS_MAX} rooms already.")
    if ROOMS_OF_CREATOR_MAX and count["own"] >= ROOMS_OF_CREATOR_MAX:
        raise RequestError(ErrorCode.LIMIT_EXCEEDED, f"You have made {ROOMS_OF_CREATOR_MAX} rooms already.")
    now = timezone.now()
    lately = Room.objects.filter(own, tenant_id=tenant_id, created_at__gt=now - _MINUTE)
    made_at = list(lately.order_by("-created_at").values_list("created_at", flat=True)[:ROOMS_PER_MINUTE])
    if ROOMS_PER_MINUTE and len(made_at) >= ROOMS_PER_MINUTE:
        # After this wait, the oldest of these rooms is more than a minute old.
        wait_s = (made_at[-1] + _MINUTE - now).total_seconds()
        message = f"A user may create at most {ROOMS_PER_MINUTE} rooms a minute; try again later."
        raise RequestError(ErrorCode.RATE_LIMITED, message, retry_after_ms=retry_after_ms(wait_s))


def _is_name_taken(tenant_id: int, name: str) -> bool:
    rooms = Room.objects.filter(tenant_id=tenant_id, archived_at__isnull=True)
    return rooms.filter(name_key=room_name_key(name)).exists()


def _message_store_alone(draft: MessageDraft) -> Outcome:
    try:
        return _messages_store([draft])[0]
    except DatabaseError as error:
        return error


@transaction.atomic
def _messages_store(drafts: Sequence[MessageDraft]) -> list[Outcome]:
    if not drafts:
        return []
    access = access_to_write(drafts)
    judged = list(zip(drafts, judge(drafts, access.known), strict=True))
    new = [(draft, verdict) for draft, verdict in judged if isinstance(verdict, Numbered)]
    stored = {**access.earlier, **_messages_insert(new)}
    return [
        verdict
        if isinstance(verdict, RequestError)
        else Sent(draft, stored[draft.name], is_new=isinstance(verdict, Numbered))
        for draft, verdict in judged
    ]


def _messages_insert(new: list[tuple[MessageDraft, Numbered]]) -> dict[MessageName, MessageView]:
    """Insert new messages, and update the rooms' last numbers and the authors' read marks."""
    if not new:
        return {}
    # In the order of the index of names, so that two processes with the same names cannot deadlock.
    new.sort(key=lambda each: (each[0].tenant.id, each[0].client_msg_id, each[0].author.id))
    last_seqs: dict[int, int] = {}
    read_seqs: dict[tuple[int, UserId], int] = {}
    for draft, numbered in new:
        room_id, mark = numbered.room_id, (numbered.room_id, draft.author.id)
        last_seqs[room_id] = max(numbered.seq, last_seqs.get(room_id, 0))
        read_seqs[mark] = max(numbered.seq, read_seqs.get(mark, 0))
    sent_at = timezone.now()
    inserted, *_ = sql.run(
        sql.messages_insert(new, sent_at), sql.rooms_move(last_seqs), sql.marks_move(read_seqs)
    )
    ids = {(room_id, seq): message_id for message_id, room_id, seq in inserted}
    return {
        draft.name: MessageView(
            ids[numbered.room_id, numbered.seq],
            numbered.room_id,
            numbered.seq,
            draft.author,
            numbered.text,
            draft.client_msg_id,
            sent_at,
        )
        for draft, numbered in new
    }


def _read_move(membership: RoomMembership, seq: int) -> bool:
    mark = RoomMembership.objects.filter(pk=membership.pk, read_seq__lt=seq)
    return mark.update(read_seq=seq) > 0
