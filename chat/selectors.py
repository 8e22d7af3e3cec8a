"""Reads of the chat. Every selector takes the tenant first. `access_*` functions check the user's access.

A room of another tenant, a missing room, and a private room without the user are all `not_found`.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from django.db.models import Count, Exists, F, FilteredRelation, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.utils.translation import gettext as _
from msgspec import UNSET, UnsetType

from accounts.models import Membership, Tenant
from chat import payloads, wire
from chat.errors import no_such_room, not_joined
from chat.models import File, Mention, Message, Room, RoomMembership
from chat.rows import grouped
from chat.wire import fitting
from realtime import ErrorCode, RequestError, UserId

MEMBERS_LISTED_MAX = 1000
# Rooms that a user may have, as others open direct rooms with them; and the bytes of JSON of a list of rooms or members.
ROOMS_LISTED_MAX = 2000
LISTED_BYTES_MAX = 768 * 1024
# The number at which counting unread messages and mentions stops.
UNREAD_MAX = 1000
# The number of people whose names a direct room shows.
NAMES_SHOWN_MAX = 8


def access_room(
    tenant_id: int, user_id: UserId, room_id: int, *, lock: bool = False, may_be_archived: bool = False
) -> Room:
    """Return the room if the user may see it; otherwise raise RequestError(not_found).

    `lock` keeps out other writers of this room until the transaction ends. SQLite has no row locks and needs
    none: its transactions take the write lock when they begin.
    """
    own = RoomMembership.objects.filter(room=OuterRef("pk"), user_id=user_id)
    rooms = Room.objects.filter(Q(is_public=True) | Exists(own), pk=room_id, tenant_id=tenant_id)
    if not may_be_archived:
        rooms = rooms.filter(archived_at__isnull=True)
    room = (rooms.select_for_update(no_key=True) if lock else rooms).first()
    if room is None:
        raise no_such_room()
    return room


def access_joined_room(tenant_id: int, user_id: UserId, room_id: int) -> RoomMembership:
    """Return the user's membership with its room. Raises RequestError(not_found | permission_denied)."""
    memberships = _membership(user_id, room_id).filter(room__tenant_id=tenant_id)
    membership = memberships.select_related("room").first()
    if membership is None:
        access_room(tenant_id, user_id, room_id)
        raise not_joined()
    return membership


def is_joined(tenant_slug: str, user_id: UserId, room_id: int) -> bool:
    """Return whether `access_joined_room` returns a membership, by one small query."""
    return _membership(user_id, room_id).filter(room__tenant__slug=tenant_slug).exists()


def _membership(user_id: UserId, room_id: int) -> "QuerySet[RoomMembership]":
    return RoomMembership.objects.filter(room_id=room_id, user_id=user_id, room__archived_at__isnull=True)


def tenant_id_of(slug: str) -> int:
    """Return the id of the tenant with this slug; raises RequestError(not_found)."""
    tenant_id = Tenant.objects.filter(slug=slug).values_list("pk", flat=True).first()
    if tenant_id is None:
        raise RequestError(ErrorCode.NOT_FOUND, _("There is no such tenant."))
    return tenant_id


def room_list(tenant_id: int, user_id: UserId) -> list[wire.Room]:
    """List the rooms that the user may see.

    The open ones, ordered by name, in three queries. At most ROOMS_LISTED_MAX, and LISTED_BYTES_MAX of
    JSON: own rooms before others, then those with the newest messages.
    """
    own = RoomMembership.objects.filter(room=OuterRef("pk"), user_id=user_id)
    rooms = Room.objects.filter(tenant_id=tenant_id, archived_at__isnull=True).alias(is_own=Exists(own))
    seen = rooms.filter(Q(is_public=True) | Q(is_own=True))
    first = seen.order_by("-is_own", F("last_message_at").desc(nulls_last=True), "-pk").values("pk")
    listed = Room.objects.filter(pk__in=first[:ROOMS_LISTED_MAX])
    views = [view for _, view in _views(listed.order_by("name_key", "id"), tenant_id, [user_id])]
    ranked = sorted(views, key=lambda room: (room.is_member, room.last_message_at or ""), reverse=True)
    kept = {room.id for room in fitting(ranked, LISTED_BYTES_MAX)}
    return [room for room in views if room.id in kept]


def room_get(
    tenant_id: int, user_id: UserId, payload: payloads.InRoom, *, may_be_archived: bool = False
) -> wire.Room:
    """Return one room.

    It is returned as the user sees it. Raises RequestError(not_found).
    """
    rooms = Room.objects.filter(pk=payload.room_id, tenant_id=tenant_id)
    found = _views(rooms if may_be_archived else rooms.filter(archived_at=None), tenant_id, [user_id])
    if not found:
        raise no_such_room()
    return found[0][1]


def room_as_admin(room: Room) -> wire.Room:
    """Return any room as it is seen from outside. The caller must be allowed to see it."""
    return _views(Room.objects.filter(pk=room.pk), room.tenant_id, [0], sees_all=True)[0][1]


def room_as_members(room: Room, user_ids: Sequence[UserId]) -> dict[int, wire.Room]:
    """Return a room as each of these users sees it who is in it. The queries do not grow with them."""
    views = _views(Room.objects.filter(pk=room.pk), room.tenant_id, user_ids)
    return {user_id: view for user_id, view in views if user_id is not None}


def member_list(tenant_id: int, user_id: UserId, payload: payloads.InRoom) -> wire.MemberList:
    """List the members of a room.

    They are ordered by name: at most MEMBERS_LISTED_MAX, and LISTED_BYTES_MAX of JSON. Raises RequestError(not_found |
    permission_denied).
    """
    room = access_joined_room(tenant_id, user_id, payload.room_id).room
    here = members_present(tenant_id).filter(user__room_memberships__room=room)
    rows = person_rows(here, "user__room_memberships__role")[:MEMBERS_LISTED_MAX]
    members = [
        wire.Member(*person_of(*person), role=role_of(room, person[0], role)) for *person, role in rows
    ]
    return wire.MemberList(room.pk, fitting(members, LISTED_BYTES_MAX))


def person_rows(people: "QuerySet[Membership]", *more: str) -> Any:
    """Return the columns of memberships that `person_of` takes, and `more` of them, by user name."""
    pictures = File.objects.filter(
        tenant=OuterRef("tenant"), uploader=OuterRef("user_id"), is_profile_picture=True
    )
    columns = ("user_id", "user__username", "name", "status", "status_emoji")
    return people.order_by("user__username").values_list(*columns, Subquery(pictures.values("pk")), *more)


def person_of(
    user_id: int, username: str, name: str, status: str, status_emoji: str, picture: int | None
) -> tuple[int, str, str, str, str, str | UnsetType]:
    """Return the fields of a `wire.Person`. `picture` is the id of a file."""
    url = UNSET if picture is None else wire.file_url(picture)
    return user_id, username, name or username, status, status_emoji, url


def role_of(room: Room, user_id: UserId, given: Any = None) -> wire.Role:
    """Return the role of a member. If none was given, the room's creator is its owner."""
    first: wire.Role = "owner" if user_id == room.created_by_id and not room.direct_key else "member"
    return given or first


def members_present(tenant_id: int) -> "QuerySet[Membership]":
    """Return the active members of a tenant."""
    return Membership.objects.filter(tenant_id=tenant_id, is_active=True, user__is_active=True)


def _views(
    rooms: "QuerySet[Room]", tenant_id: int, user_ids: Sequence[UserId], *, sees_all: bool = False
) -> list[tuple[int | None, wire.Room]]:
    """Return each room once for each of the users who is in it, with the user; once, with None, if nobody of them is."""
    seen = rooms.alias(
        own=FilteredRelation("memberships", condition=Q(memberships__user_id__in=user_ids))
    ).annotate(
        own_user_id=F("own__user_id"),
        own_read_seq=F("own__read_seq"),
        own_role=F("own__role"),
        own_level=F("own__level"),
        own_favourite=F("own__is_favourite"),
        # Numbers have no gaps. So the unread count is the distance from the read mark, less the user's own
        # messages and the deleted ones of others, each counted in its index. They are few: sending moves the mark.
        own_after=_counted(Message.objects.filter(author_id=OuterRef("own__user_id"))),
        deleted_after=_counted(
            Message.objects.filter(deleted_at__isnull=False).exclude(author_id=OuterRef("own__user_id"))
        ),
        mentioned_after=_counted(Mention.objects.filter(user_id=OuterRef("own__user_id"))),
    )
    found: list[Any] = list(
        seen if sees_all else seen.filter(Q(is_public=True) | Q(own_user_id__isnull=False))
    )
    counts = _member_counts(tenant_id, {room.pk for room in found})
    people = _direct_people(tenant_id, {room.pk for room in found if room.direct_key})
    return [(room.own_user_id, _view(room, counts.get(room.pk, 0), people[room.pk])) for room in found]


def _view(room: Any, member_count: int, people: Sequence[tuple[int, str]]) -> wire.Room:
    is_member = room.own_read_seq is not None
    after = room.last_seq - room.own_read_seq if is_member else 0
    # Of a direct room. A user alone in it sees their own name.
    others = [name for user_id, name in people if user_id != room.own_user_id] or [name for _, name in people]
    return wire.Room(
        id=room.pk,
        name=", ".join(others[:NAMES_SHOWN_MAX]) or room.name,
        topic=wire.room_topic(room.pk),
        kind=room.kind,
        is_public=room.is_public,
        topic_line=room.topic_line,
        archived=room.archived_at is not None,
        member_count=member_count,
        last_seq=room.last_seq,
        last_rev=max(room.last_rev, room.last_seq),
        last_message_at=room.last_message_at and wire.time_of(room.last_message_at),
        is_member=is_member,
        read_seq=room.own_read_seq or 0,
        unread=min(max(after - room.own_after - room.deleted_after, 0), UNREAD_MAX) if is_member else 0,
        mentions=min(room.mentioned_after, UNREAD_MAX) if is_member else 0,
        level=room.own_level or "all",
        is_favourite=bool(room.own_favourite),
        role=role_of(room, room.own_user_id, room.own_role) if is_member else None,
    )


def _counted(rows: "QuerySet[Any]") -> Coalesce:
    """Count `rows` of each room after the user's read mark."""
    after = rows.filter(room=OuterRef("pk"), seq__gt=OuterRef("own__read_seq")).order_by()
    count = after.values("room").annotate(count=Count("*")).values("count")
    return Coalesce(Subquery(count), 0)


def _member_counts(tenant_id: int, room_ids: Collection[int]) -> Mapping[int, int]:
    rows = RoomMembership.objects.filter(room_id__in=room_ids)
    present = members_present(tenant_id)
    if len(room_ids) > 1:
        # The tenant's members are read once for all rooms. SQLite would look for each of them in each room by the index.
        people = rows.alias(person=F("user_id") + 0)
        rows = people.filter(person__in=present.order_by().values("user_id"))
    else:
        rows = rows.filter(Exists(present.filter(user_id=OuterRef("user_id"))))
    return dict(rows.order_by().values("room_id").annotate(count=Count("*")).values_list("room_id", "count"))


def _direct_people(tenant_id: int, room_ids: Collection[int]) -> Mapping[int, list[tuple[int, str]]]:
    """Return the ids and the names of the people of direct rooms, by user name."""
    if not room_ids:
        return grouped(())
    person = FilteredRelation("user__memberships", condition=Q(user__memberships__tenant_id=tenant_id))
    members = RoomMembership.objects.filter(room_id__in=room_ids).alias(person=person)
    rows = members.order_by("user__username").values_list(
        "room_id", "user_id", "person__name", "user__username"
    )
    return grouped((room_id, (user_id, name or username)) for room_id, user_id, name, username in rows)
