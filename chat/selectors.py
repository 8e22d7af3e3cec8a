"""Reads of the chat. Every selector takes the tenant first. `access_*` functions decide who may see a room.

A room of another tenant, a missing room, and a private room without the user are all `not_found`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Count, Exists, OuterRef, Q, QuerySet, Subquery

from accounts.models import Membership, Tenant
from chat import sql
from chat.batches import Known, MessageDraft, MessageName, RoomState, no_such_room, not_joined
from chat.models import Message, Room, RoomMembership
from realtime import ErrorCode, Publisher, RequestError, UserId

MEMBERS_LISTED_MAX = 1000


@dataclass(frozen=True, slots=True)
class RoomView:
    """A room as one user sees it. `read_seq` is None if the user is not in it."""

    id: int
    name: str
    is_public: bool
    last_seq: int
    member_count: int
    read_seq: int | None

    @property
    def is_member(self) -> bool:
        """Whether the user is in the room."""
        return self.read_seq is not None

    @property
    def unread(self) -> int:
        """How many messages the user has not read; 0 if the user is not in the room."""
        return 0 if self.read_seq is None else self.last_seq - self.read_seq


@dataclass(frozen=True, slots=True)
class MemberView:
    """A member of a room. `status` is the member's own status text in this tenant."""

    id: int
    username: str
    status: str


@dataclass(frozen=True, slots=True)
class MessageView:
    """A stored message, as all members of the room see it."""

    id: int
    room_id: int
    seq: int
    author: Publisher
    text: str
    client_msg_id: UUID
    sent_at: datetime


@dataclass(frozen=True, slots=True)
class MessagePage:
    """Messages in order. `has_more` says that there are more in the requested direction."""

    messages: list[MessageView]
    has_more: bool


@dataclass(frozen=True, slots=True)
class WriteAccess:
    """`known` for the decision, and messages that are already stored, by name.

    It may hold more than asked for.
    """

    known: Known
    earlier: Mapping[MessageName, MessageView]


def access_room(tenant_id: int, user_id: UserId, room_id: int, *, lock: bool = False) -> Room:
    """Return the room if the user may see it; otherwise raise RequestError(not_found).

    `lock` keeps out other writers of this room until the transaction ends. SQLite has no row locks and needs
    none: its transactions take the write lock when they begin.
    """
    own = RoomMembership.objects.filter(room=OuterRef("pk"), user_id=user_id)
    rooms = Room.objects.filter(
        Q(is_public=True) | Exists(own), pk=room_id, tenant_id=tenant_id, archived_at__isnull=True
    )
    room = (rooms.select_for_update(no_key=True) if lock else rooms).first()
    if room is None:
        raise no_such_room()
    return room


def access_joined_room(tenant_id: int, user_id: UserId, room_id: int) -> RoomMembership:
    """Return the user's membership with user and room. Raises RequestError(not_found | permission_denied)."""
    memberships = RoomMembership.objects.select_related("user", "room").filter(
        room_id=room_id, user_id=user_id, room__tenant_id=tenant_id, room__archived_at__isnull=True
    )
    membership = memberships.first()
    if membership is None:
        access_room(tenant_id, user_id, room_id)
        raise not_joined()
    return membership


def access_to_write(drafts: Sequence[MessageDraft]) -> WriteAccess:
    """Read what decides which drafts of a batch are allowed: rooms, their members, and names used before.

    The rooms stay locked until the transaction ends, so that the numbers of messages have no gaps.
    """
    room_ids, tenant_ids = {draft.room_id for draft in drafts}, {draft.tenant.id for draft in drafts}
    # The rooms come first, so that members and names are read after the rooms are locked.
    rooms, members, repeated = sql.run(
        sql.rooms_lock(room_ids, tenant_ids),
        sql.members_among(room_ids, {draft.author.id for draft in drafts}),
        sql.messages_named(drafts),
    )
    states = {
        room_id: RoomState(tenant_id, bool(is_public), last_seq)
        for room_id, tenant_id, is_public, last_seq in rooms
    }
    earlier = _messages_by_name([message_id for (message_id,) in repeated])
    said = {name: (message.room_id, message.text) for name, message in earlier.items()}
    return WriteAccess(Known(states, {(room_id, user_id) for room_id, user_id in members}, said), earlier)


def tenant_id_of(slug: str) -> int:
    """Return the id of the tenant with this slug; raises RequestError(not_found)."""
    tenant_id = Tenant.objects.filter(slug=slug).values_list("pk", flat=True).first()
    if tenant_id is None:
        raise RequestError(ErrorCode.NOT_FOUND, "There is no such tenant.")
    return tenant_id


def room_list(tenant_id: int, user_id: UserId) -> list[RoomView]:
    """Return the rooms that the user may see, ordered by name."""
    rooms = _rooms_as_seen_by(tenant_id, user_id)
    visible = rooms.filter(Q(is_public=True) | Q(read_seq__isnull=False))
    return _views(visible.order_by("name_key", "id"))


def room_get(tenant_id: int, user_id: UserId, room_id: int) -> RoomView:
    """Return one room as the user sees it; raises RequestError(not_found)."""
    access_room(tenant_id, user_id, room_id)
    return _views(_rooms_as_seen_by(tenant_id, user_id).filter(pk=room_id))[0]


def message_list(
    tenant_id: int,
    user_id: UserId,
    room_id: int,
    *,
    limit: int,
    before_seq: int | None = None,
    after_seq: int | None = None,
) -> MessagePage:
    """Return the first `limit` messages after `after_seq`, or the newest (before `before_seq`), in order."""
    room = access_joined_room(tenant_id, user_id, room_id).room
    messages = Message.objects.filter(tenant_id=tenant_id, room=room).select_related("author")
    if before_seq is not None:
        messages = messages.filter(seq__lt=before_seq)
    if after_seq is not None:
        found = list(messages.filter(seq__gt=after_seq).order_by("seq")[: limit + 1])
        return _page(found[:limit], has_more=len(found) > limit)
    found = list(messages.order_by("-seq")[: limit + 1])
    return _page(found[:limit][::-1], has_more=len(found) > limit)


def member_list(tenant_id: int, user_id: UserId, room_id: int) -> list[MemberView]:
    """Return the room's members by name, at most `MEMBERS_LISTED_MAX`. The user must be in the room."""
    room = access_joined_room(tenant_id, user_id, room_id).room
    present = Membership.objects.filter(
        tenant_id=tenant_id, is_active=True, user__is_active=True, user__room_memberships__room=room
    )
    rows = present.order_by("user__username").values_list("user_id", "user__username", "status")
    return [MemberView(*row) for row in rows[:MEMBERS_LISTED_MAX]]


def _page(messages: Iterable[Message], *, has_more: bool) -> MessagePage:
    return MessagePage([_message_view(message) for message in messages], has_more)


def _message_view(message: Message) -> MessageView:
    """Return the view of a message whose author is already loaded."""
    return MessageView(
        message.pk,
        message.room_id,
        message.seq,
        Publisher(message.author_id, message.author.get_username()),
        message.text,
        message.client_msg_id,
        message.sent_at,
    )


def _messages_by_name(message_ids: Sequence[int]) -> dict[MessageName, MessageView]:
    if not message_ids:
        return {}
    messages = Message.objects.filter(pk__in=message_ids).select_related("author")
    return {(each.tenant_id, each.author_id, each.client_msg_id): _message_view(each) for each in messages}


def _rooms_as_seen_by(tenant_id: int, user_id: UserId) -> QuerySet[Room, Any]:
    own = RoomMembership.objects.filter(room=OuterRef("pk"), user_id=user_id).values("read_seq")
    present = Q(
        memberships__user__is_active=True,
        memberships__user__memberships__tenant_id=tenant_id,
        memberships__user__memberships__is_active=True,
    )
    rooms = Room.objects.filter(tenant_id=tenant_id, archived_at__isnull=True)
    seen = rooms.annotate(read_seq=Subquery(own), member_count=Count("memberships", filter=present))
    return seen.values("id", "name", "is_public", "last_seq", "member_count", "read_seq")


def _views(rows: Iterable[dict[str, Any]]) -> list[RoomView]:
    return [RoomView(**row) for row in rows]
