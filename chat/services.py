"""The services of rooms. Each is one transaction in a database thread, and announces on commit."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Literal
from uuid import uuid4

from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _
from msgspec.structs import asdict, replace

from accounts.models import Membership
from accounts.models import Tenant as TenantRow
from chat import announcements, payloads, wire
from chat.batches import MessageDraft
from chat.demo_rooms import DEMO_ROOMS
from chat.errors import denied, field_error, no_such_room, require_at_most, too_fast
from chat.messages.sending import messages_send
from chat.models import Room, RoomMembership
from chat.rooms.rights import MEMBER, MODERATOR, OWNER, RANKS, Standing, has_owner, rank_of, standing
from chat.selectors import (
    access_joined_room,
    access_room,
    members_present,
    role_of,
    room_as_admin,
    room_as_members,
    room_get,
)
from chat.text import ROOM_NAME_MAX_CHARS, TOPIC_LINE_MAX_CHARS, clean_line, clean_room_name, room_name_key
from realtime import ErrorCode, Publisher, Tenant, UserId, record_action

# Open rooms of a tenant, and open rooms that one user created in it: beyond it `limit_exceeded`. Direct rooms do not count,
# since nobody can close one. One user opens at most so many of them.
ROOMS_MAX = 1000
ROOMS_OF_CREATOR_MAX = 200
DIRECT_ROOMS_OF_CREATOR_MAX = 500
# Members who are told in their own topics that their room was archived, or that it is back: each is a publication. The
# others see that their subscriptions end, and find the room in the next list.
TOLD_MAX = 500
# Rooms that one user may create in a tenant within a minute, including archived ones: beyond it
# `rate_limited`.
ROOMS_PER_MINUTE = 60
_MINUTE = timedelta(minutes=1)
# People of a direct room, including the user who opens it.
DIRECT_MEMBERS_MAX = 8


@transaction.atomic
def room_create(
    tenant: Tenant, creator: Publisher, payload: payloads.RoomCreate
) -> tuple[wire.Room, Literal[True]]:
    """Create a room.

    Its creator is a member. Raises RequestError(invalid_message | conflict | limit_exceeded | rate_limited).
    """
    name = clean_room_name(payload.name)
    room = Room(tenant_id=tenant.id, name=name, name_key=room_name_key(name), is_public=payload.is_public)
    _insert(room, creator.id, [creator.id], "owner")
    view = room_get(tenant.id, creator.id, payloads.InRoom(room.pk))
    announcements.announce_member(tenant, creator, view, "joined", by=creator)
    if room.is_public:
        announcements.announce_public(tenant, creator, view)
    return view, True


@transaction.atomic
def room_join(tenant: Tenant, user: Publisher, payload: payloads.InRoom) -> wire.Room:
    """Join a room.

    Its messages are marked as read. A member stays unchanged. Raises RequestError(not_found).
    """
    # Locked from here on, so that nobody joins a room that becomes private meanwhile.
    _let_in(tenant, [user], access_room(tenant.id, user.id, payload.room_id, lock=True), by=user)
    return room_get(tenant.id, user.id, payload)


@transaction.atomic
def room_admit(tenant: Tenant, user: Publisher, room_id: int) -> None:
    """Add a user to a room, even to one that the user cannot see. The caller must be allowed to (the admin).

    Raises RequestError(not_found).
    """
    _let_in(tenant, [user], _locked(tenant, room_id, may_be_archived=False), by=user)


@transaction.atomic
def room_leave(tenant: Tenant, user: Publisher, payload: payloads.InRoom) -> wire.OfRoom:
    """Leave a room.

    A private room is archived when its last member leaves. Leaving a room that the user is not in changes nothing.
    Raises RequestError(not_found; permission_denied in a direct room).
    """
    here = standing(tenant, user, payload.room_id)
    here.require_changeable()
    if here.membership is not None:
        _let_go(here, here.membership, user)
    return wire.OfRoom(payload.room_id)


@transaction.atomic
def room_invite(tenant: Tenant, user: Publisher, payload: payloads.RoomInvite) -> wire.Room:
    """Make users members of a room at once.

    All of them must be members of the tenant. Those who are in the room already stay unchanged. Raises
    RequestError(not_found | permission_denied).
    """
    here = standing(tenant, user, payload.room_id)
    here.require_changeable(MEMBER)
    _let_in(tenant, people_present(tenant.id, payload.user_ids), here.room, by=user)
    return room_get(tenant.id, user.id, payload)


@transaction.atomic
def room_remove(tenant: Tenant, user: Publisher, payload: payloads.RoomRemove) -> wire.Room:
    """Remove a member from a room.

    The caller is a moderator and has a higher rank than the member, or is an owner. The audit log keeps it, with
    the reason. Raises RequestError(not_found | permission_denied).
    """
    here = standing(tenant, user, payload.room_id)
    here.require_changeable(MODERATOR)
    target = _member(here, payload.user_id)
    is_self = payload.user_id == user.id
    if not is_self:
        rank = here.highest_rank()
        if rank < OWNER and rank <= rank_of(target, here.room):
            raise denied(_("This member's role is as high as yours."))
        record_action("room_remove", tenant=tenant.slug, user=user, **asdict(payload))
    after = _let_go(here, target, Publisher(target.user_id, target.user.get_username()))
    return after if is_self else room_get(tenant.id, user.id, payload)


@transaction.atomic
def room_role(tenant: Tenant, user: Publisher, payload: payloads.RoomRole) -> wire.Room:
    """Give a member of a room a role.

    The caller is an owner. Raises RequestError(not_found | permission_denied).
    """
    here = standing(tenant, user, payload.room_id)
    here.require_changeable(OWNER)
    target = _member(here, payload.user_id)
    if rank_of(target, here.room) != RANKS[payload.role]:
        here.take_rev()
        target.role = payload.role
        target.save(update_fields=["role"])
        view = room_get(tenant.id, payload.user_id, payload)
        person = Publisher(payload.user_id, target.user.get_username())
        record_action("room_role", tenant=tenant.slug, user=user, **asdict(payload))
        announcements.announce_member(tenant, person, view, "changed", by=user, role=payload.role)
    return room_get(tenant.id, user.id, payload)


@transaction.atomic
def room_update(tenant: Tenant, user: Publisher, payload: payloads.RoomUpdate) -> wire.Room:
    """Change a room's name or topic line (moderators), open, close or archive it (owners).

    None leaves a value as it is. Raises RequestError(invalid_message | not_found | permission_denied |
    conflict; limit_exceeded if an archived room should come back).
    """
    here = standing(tenant, user, payload.room_id, may_be_archived=payload.archived is False)
    here.require_changeable(MODERATOR if payload.is_public is None and payload.archived is None else OWNER)
    _update(tenant, user, here.room, payload)
    return room_get(tenant.id, user.id, payload, may_be_archived=True)


@transaction.atomic
def room_amend(tenant: Tenant, user: Publisher, payload: payloads.RoomUpdate) -> None:
    """Change a room, even one that the user cannot see, as `room_update` does. The caller must be allowed to (the admin).

    Raises RequestError(not_found: also a direct room | invalid_message | conflict; limit_exceeded if an archived room
    should come back).
    """
    _update(tenant, user, _locked(tenant, payload.room_id), payload)


@transaction.atomic
def room_found(tenant: Tenant, user: Publisher, payload: payloads.RoomUpdate) -> int:
    """Store a room without members and announce it. Return its id. The caller must be allowed to (the admin).

    Raises RequestError(invalid_message | conflict | limit_exceeded).
    """
    room = Room(tenant_id=tenant.id, last_rev=1)
    for field, value in _new_values(room, payload).items():
        setattr(room, field, value)
    if room.archived_at is None:
        _require_own_space(room, user.id)
    _save(room, force_insert=True)
    if room.is_public and room.archived_at is None:
        announcements.announce_public(tenant, user, room_as_admin(room))
    return room.pk


@transaction.atomic
def room_settings(tenant: Tenant, user: Publisher, payload: payloads.RoomSettings) -> wire.Room:
    """Change the user's own settings of a room.

    They are the level of notifications, and whether it is a favourite. Raises RequestError(not_found |
    permission_denied).
    """
    membership = access_joined_room(tenant.id, user.id, payload.room_id)
    new = {name: value for name, value in asdict(payload).items() if name != "room_id" and value is not None}
    if new and not RoomMembership.objects.filter(pk=membership.pk).update(**new):
        # The user was removed meanwhile: say it as every verb does.
        access_joined_room(tenant.id, user.id, payload.room_id)
    view = room_get(tenant.id, user.id, payload)
    announcements.announce_own(tenant, user.id, view, by=user)
    return view


@transaction.atomic
def room_direct(tenant: Tenant, user: Publisher, payload: payloads.RoomDirect) -> tuple[wire.Room, bool]:
    """Open or find the direct room with some people.

    Return it, and whether it is new. Raises RequestError(not_found | limit_exceeded | rate_limited).
    """
    ids = sorted({user.id, *payload.user_ids})
    if DIRECT_MEMBERS_MAX and len(ids) > DIRECT_MEMBERS_MAX:
        message = _("A direct room has at most {most} people.").format(most=DIRECT_MEMBERS_MAX)
        raise field_error("payload.user_ids", message)
    key = ",".join(map(str, ids))
    people = people_present(tenant.id, ids)
    # Two people who open it at once make one room.
    _lock_tenant(tenant.id)
    room = Room.objects.filter(tenant_id=tenant.id, direct_key=key).first()
    if room is not None:
        return room_get(tenant.id, user.id, payloads.InRoom(room.pk)), False
    room = Room(
        tenant_id=tenant.id,
        name=", ".join(person.username for person in people)[:ROOM_NAME_MAX_CHARS],
        # Not the key of any name: names hold no control characters.
        name_key=f"\x1f{key}",
        is_public=False,
        direct_key=key,
    )
    _insert(room, user.id, ids, "member")
    views = room_as_members(room, ids)
    for user_id, view in views.items():
        announcements.announce_own(tenant, user_id, view, by=user)
    return views[int(user.id)], True


@transaction.atomic
def read(tenant: Tenant, user: Publisher, payload: payloads.Read) -> wire.ReadMark:
    """Move the user's read mark.

    It does not move past the last message, and back only if the user marks messages as unread. Raises
    RequestError(not_found | permission_denied).
    """
    membership = access_joined_room(tenant.id, user.id, payload.room_id)
    seq = min(payload.seq, membership.room.last_seq)
    mark = RoomMembership.objects.filter(pk=membership.pk)
    mark = mark.exclude(read_seq=seq) if payload.is_unread else mark.filter(read_seq__lt=seq)
    if mark.update(read_seq=seq):
        announcements.announce_read(tenant, user, room_id=payload.room_id, seq=seq)
    else:
        # Another screen has moved it, or the user was removed meanwhile.
        seq = access_joined_room(tenant.id, user.id, payload.room_id).read_seq
    return wire.ReadMark(payload.room_id, seq)


def people_present(tenant_id: int, user_ids: Sequence[UserId]) -> list[Publisher]:
    """Return active members of the tenant, all of them or RequestError(not_found)."""
    members = members_present(tenant_id).filter(user_id__in=user_ids).order_by("user_id")
    people = [Publisher(*row) for row in members.values_list("user_id", "user__username")]
    if len(people) != len(set(user_ids)):
        raise field_error("payload.user_ids", _("There is no such member."), ErrorCode.NOT_FOUND)
    return people


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
            said = [(people[author % len(people)], text) for author, text in lines]
            messages_send(
                [MessageDraft(room.pk, uuid4(), text, tenant=here, author=author) for author, text in said]
            )


def _locked(tenant: Tenant, room_id: int, *, may_be_archived: bool = True) -> Room:
    """Return a room that is not a direct one, even if the user cannot see it. It stays locked until the commit."""
    rooms = Room.objects.select_for_update(no_key=True)
    room = rooms.filter(pk=room_id, tenant_id=tenant.id, direct_key=None).first()
    if room is None or not (may_be_archived or room.archived_at is None):
        raise no_such_room()
    return room


def _insert(room: Room, creator_id: UserId, user_ids: Sequence[UserId], role: wire.Role) -> None:
    """Store a new room and its members."""
    room.created_by_id, room.last_rev = int(creator_id), 1
    _require_own_space(room, creator_id)
    _require_pace(room)
    _save(room, force_insert=True)
    RoomMembership.objects.bulk_create(
        [RoomMembership(room=room, user_id=user_id, role=role) for user_id in user_ids]
    )


def _save(room: Room, **options: Any) -> None:
    try:
        with transaction.atomic():
            room.save(**options)
    except IntegrityError:
        message = _("A room of this name exists already.")
        raise field_error("payload.name", message, ErrorCode.CONFLICT) from None


def _let_in(tenant: Tenant, people: Sequence[Publisher], room: Room, *, by: Publisher) -> None:
    """Make users members of a locked room, unless they are, and announce it. The queries do not grow with the people."""
    ids = [person.id for person in people]
    inside = set(RoomMembership.objects.filter(room=room, user_id__in=ids).values_list("user_id", flat=True))
    new = [(person, _joining_role(room, person.id)) for person in people if person.id not in inside]
    if not new:
        return
    read_seq = room.last_seq
    RoomMembership.objects.bulk_create(
        [RoomMembership(room=room, user_id=person.id, read_seq=read_seq, role=role) for person, role in new]
    )
    view = replace(room_as_admin(room), is_member=True, read_seq=read_seq)
    for person, role in new:
        room.last_rev = room.next_rev
        joined = replace(view, role=role, last_rev=room.last_rev)
        announcements.announce_member(tenant, person, joined, "joined", by=by)
    room.save(update_fields=["last_rev"])


def _joining_role(room: Room, user_id: UserId) -> wire.Role:
    """A creator who comes back owns the room only if nobody does: others may have taken the role away."""
    role = role_of(room, user_id)
    return "member" if role == "owner" and has_owner(room) else role


def _let_go(here: Standing, membership: RoomMembership, user: Publisher) -> wire.Room:
    """End a membership of a locked room, and return the room as it is seen from outside."""
    room = here.room
    membership.delete()
    here.take_rev()
    if not (room.is_public or RoomMembership.objects.filter(room=room).exists()):
        room.archived_at = timezone.now()
        room.save(update_fields=["archived_at"])
    after = room_as_admin(room)
    announcements.announce_member(here.tenant, user, after, "left", by=here.user)
    return after


def _member(here: Standing, user_id: UserId) -> RoomMembership:
    found = RoomMembership.objects.select_related("user").filter(room=here.room, user_id=user_id).first()
    if found is None:
        raise field_error("payload.user_id", _("This user is not in the room."), ErrorCode.NOT_FOUND)
    return found


def _new_values(room: Room, given: payloads.RoomUpdate) -> dict[str, Any]:
    """Return the fields of a room that are given, checked."""
    new: dict[str, Any] = {}
    if given.name is not None:
        new["name"] = clean_room_name(given.name)
        new["name_key"] = room_name_key(new["name"])
    if given.topic_line is not None:
        new["topic_line"] = clean_line(given.topic_line, field="topic_line", max_chars=TOPIC_LINE_MAX_CHARS)
    if given.is_public is not None:
        new["is_public"] = given.is_public
    if given.archived is not None and given.archived != (room.archived_at is not None):
        new["archived_at"] = timezone.now() if given.archived else None
    return new


def _update(tenant: Tenant, user: Publisher, room: Room, given: payloads.RoomUpdate) -> None:
    """Change a locked room and announce it, if anything is different."""
    was_public, new = room.is_public, _new_values(room, given)
    changed = [field for field, value in new.items() if getattr(room, field) != value]
    if not changed:
        return
    for field in changed:
        setattr(room, field, new[field])
    room.last_rev = room.next_rev
    if "archived_at" in changed and room.archived_at is None:
        _require_own_space(room, user.id)
    _save(room, update_fields=[*changed, "last_rev"])
    if not {"is_public", "archived_at"}.isdisjoint(changed):
        now = "archived" if room.archived_at else room.kind
        record_action("room_update", tenant=tenant.slug, user=user, room_id=room.pk, now=now)
    view = room_as_admin(room)
    announcements.announce_room(tenant, user, view)
    if was_public or room.is_public:
        announcements.announce_public(tenant, user, view)
    if "archived_at" in changed:
        _tell_members(tenant, user, room, view)


def _tell_members(tenant: Tenant, user: Publisher, room: Room, outside: wire.Room) -> None:
    """Tell TOLD_MAX members, `user` first, that their room was archived or is back."""
    rows = RoomMembership.objects.filter(room=room).values_list("user_id", flat=True)
    members = sorted(rows, key=lambda user_id: user_id != user.id)
    told = members[:TOLD_MAX]
    views = dict.fromkeys(told, outside) if room.archived_at else room_as_members(room, told)
    for user_id, own in views.items():
        announcements.announce_own(tenant, user_id, own, by=user)
    # A subscriber could still announce typing in it.
    if room.archived_at:
        announcements.end_hearing(tenant, room_id=room.pk, user_ids=members)


def _lock_tenant(tenant_id: int) -> None:
    """Lock the tenant, so that the counts of its rooms stay true until the commit.

    SQLite needs no row lock: its transactions take the write lock when they begin.
    """
    TenantRow.objects.select_for_update(no_key=True).filter(pk=tenant_id).first()


def _require_own_space(room: Room, user_id: UserId) -> None:
    """Raise RequestError(limit_exceeded) if the tenant, or the user who made the room, has too many rooms beside it."""
    is_direct = room.direct_key is not None
    _lock_tenant(room.tenant_id)
    rooms = Room.objects.filter(tenant_id=room.tenant_id, archived_at=None, direct_key__isnull=not is_direct)
    if not is_direct:
        require_at_most(ROOMS_MAX, rooms.count() + 1, _("There are {most} rooms already."))
    # Nobody can make space for an owner who brings back a room of somebody else.
    if room.created_by_id == int(user_id):
        most = DIRECT_ROOMS_OF_CREATOR_MAX if is_direct else ROOMS_OF_CREATOR_MAX
        count = rooms.filter(created_by_id=room.created_by_id).count()
        require_at_most(most, count + 1, _("You have made {most} rooms already."))


def _require_pace(new: Room) -> None:
    """Raise RequestError(rate_limited) if the creator made too many rooms lately. The tenant must be locked."""
    now = timezone.now()
    own = Room.objects.filter(tenant_id=new.tenant_id, created_by_id=new.created_by_id)
    lately = own.filter(created_at__gt=now - _MINUTE).order_by("-created_at")
    made_at = list(lately.values_list("created_at", flat=True)[:ROOMS_PER_MINUTE])
    if ROOMS_PER_MINUTE and len(made_at) >= ROOMS_PER_MINUTE:
        # After this wait, the oldest of these rooms is more than a minute old.
        wait_s = (made_at[-1] + _MINUTE - now).total_seconds()
        message = _("A user may create at most {most} rooms a minute; try again later.")
        raise too_fast(message.format(most=ROOMS_PER_MINUTE), wait_s)
