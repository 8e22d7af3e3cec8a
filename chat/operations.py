"""The use cases of the chat: each is a verb of the socket and a route of the REST API.

An operation takes a checked payload and returns the reply's payload. It runs in a database thread.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from django.db import IntegrityError
from msgspec import Meta, Struct, field

from chat import selectors, services, wire
from chat.batches import MessageDraft
from chat.messages import changing, reading, sending
from chat.people import profiles
from chat.search import selectors as searching
from chat.text import EMOJI_MAX_CHARS, TEXT_MAX_CHARS
from realtime import NoPayload, Publisher, Tenant

MESSAGES_PER_PAGE = 50
MESSAGES_PER_PAGE_MAX = 100
USERS_PER_PAGE = 50
USERS_PER_PAGE_MAX = 100
# Files of one message, and people invited at once.
FILES_MAX = 10
INVITED_MAX = 50

# Signed 64-bit integers of the database: an id above zero, and a number from zero.
ID_MAX = 2**63 - 1
Id = Annotated[int, Meta(ge=1, le=ID_MAX)]
Seq = Annotated[int, Meta(ge=0, le=ID_MAX)]
Text = Annotated[str, Meta(max_length=TEXT_MAX_CHARS)]
Line = Annotated[str, Meta(max_length=1000)]
Time = Annotated[datetime, Meta(tz=True)]
Reason = Annotated[str, Meta(max_length=200)]
Emoji = Annotated[str, Meta(min_length=1, max_length=EMOJI_MAX_CHARS)]
Limit = Annotated[int, Meta(ge=1, le=MESSAGES_PER_PAGE_MAX)]
People = Annotated[list[Id], Meta(min_length=1, max_length=INVITED_MAX)]

READ = ("chat:read",)
WRITE = ("chat:write",)


class RoomCreate(Struct, frozen=True):
    """Payload of `room.create`."""

    name: Annotated[str, Meta(min_length=1, max_length=TEXT_MAX_CHARS)]
    is_public: bool = True


class InRoom(Struct, frozen=True):
    """Payload of verbs about one room."""

    room_id: Id


class RoomUpdate(Struct, frozen=True):
    """Payload of `room.update`. Only the fields that are given are changed."""

    room_id: Id
    name: Annotated[str, Meta(min_length=1, max_length=TEXT_MAX_CHARS)] | None = None
    topic_line: Line | None = None
    is_public: bool | None = None
    archived: bool | None = None


class RoomInvite(Struct, frozen=True):
    """Payload of `room.invite`."""

    room_id: Id
    user_ids: People


class RoomRemove(Struct, frozen=True):
    """Payload of `room.remove`. The reason is for the audit log."""

    room_id: Id
    user_id: Id
    reason: Reason = ""


class RoomRole(Struct, frozen=True):
    """Payload of `room.role`."""

    room_id: Id
    user_id: Id
    role: wire.Role


class RoomDirect(Struct, frozen=True):
    """Payload of `room.direct`: the other people."""

    user_ids: People


class RoomSettings(Struct, frozen=True):
    """Payload of `room.settings`. Only the fields that are given are changed."""

    room_id: Id
    level: wire.Level | None = None
    is_favourite: bool | None = None


class MessageList(Struct, frozen=True):
    """Payload of `message.list`: messages after, around or before a number, or the newest."""

    room_id: Id
    before_seq: Seq | None = None
    after_seq: Seq | None = None
    around_seq: Seq | None = None
    limit: Limit = MESSAGES_PER_PAGE


class MessageChanges(Struct, frozen=True):
    """Payload of `message.changes`: the changes after the room's change number `after_rev`."""

    room_id: Id
    after_rev: Seq
    limit: Limit = MESSAGES_PER_PAGE_MAX


class MessageSend(Struct, frozen=True):
    """Payload of `message.send`. `client_msg_id` is chosen by the sender and the same in every retry."""

    room_id: Id
    client_msg_id: UUID
    text: Text = ""
    reply_to: Seq | None = None
    file_ids: Annotated[list[Id], Meta(max_length=FILES_MAX)] = field(default_factory=list)


class OneMessage(Struct, frozen=True):
    """Payload of verbs about one message."""

    room_id: Id
    seq: Seq


class MessageEdit(OneMessage, frozen=True):
    """Payload of `message.edit`."""

    text: Text


class MessageDelete(OneMessage, frozen=True):
    """Payload of `message.delete`. The reason is for the audit log, if the message is another's."""

    reason: Reason = ""


class MessageReaction(OneMessage, frozen=True):
    """Payload of `reaction.add` and `reaction.remove`."""

    emoji: Emoji


class Read(OneMessage, frozen=True):
    """Payload of `read`: the newest message that the user has read. With `is_unread` it also moves back."""

    is_unread: bool = False


class Search(Struct, frozen=True):
    """Payload of `search`: words and filters. `before` is the id of a message, or a time."""

    query: Line
    room_id: Id | None = None
    before: Id | Time | None = None
    limit: Limit = MESSAGES_PER_PAGE


class UserList(Struct, frozen=True):
    """Payload of `user.list`: part of a name."""

    query: Line = ""
    limit: Annotated[int, Meta(ge=1, le=USERS_PER_PAGE_MAX)] = USERS_PER_PAGE


class ProfileUpdate(Struct, frozen=True):
    """Payload of `profile.update`. Only the fields that are given are changed; an empty text clears one."""

    name: Line | None = None
    status: Line | None = None
    status_emoji: Line | None = None


@dataclass(frozen=True, slots=True)
class Who:
    """The user who asks, and the tenant of the request."""

    tenant: Tenant
    user: Publisher


@dataclass(frozen=True, slots=True)
class Answer:
    """The payload of a reply. `is_new`: something was created (HTTP 201)."""

    payload: Struct
    is_new: bool = False


def room_list(who: Who, payload: NoPayload) -> Answer:
    """List the rooms that the user may see."""
    return Answer(wire.RoomList(selectors.room_list(who.tenant.id, who.user.id)))


def room_get(who: Who, payload: InRoom) -> Answer:
    """Return one room."""
    return _room(selectors.room_get(who.tenant.id, who.user.id, payload.room_id))


def room_create(who: Who, payload: RoomCreate) -> Answer:
    """Create a room."""
    room = services.room_create(who.tenant, who.user, name=payload.name, is_public=payload.is_public)
    return _room(room, is_new=True)


def room_join(who: Who, payload: InRoom) -> Answer:
    """Join a room."""
    return _room(services.room_join(who.tenant, who.user, room_id=payload.room_id))


def room_leave(who: Who, payload: InRoom) -> Answer:
    """Leave a room."""
    services.room_leave(who.tenant, who.user, room_id=payload.room_id)
    return Answer(wire.OfRoom(payload.room_id))


def room_update(who: Who, payload: RoomUpdate) -> Answer:
    """Change a room's name or topic line (moderators), open, close or archive it (owners)."""
    return _room(services.room_update(who.tenant, who.user, **_fields(payload)))


def room_invite(who: Who, payload: RoomInvite) -> Answer:
    """Make users members of a room at once."""
    return _room(services.room_invite(who.tenant, who.user, **_fields(payload)))


def room_remove(who: Who, payload: RoomRemove) -> Answer:
    """Remove a member from a room."""
    return _room(services.room_remove(who.tenant, who.user, **_fields(payload)))


def room_role(who: Who, payload: RoomRole) -> Answer:
    """Give a member of a room a role."""
    return _room(services.room_role(who.tenant, who.user, **_fields(payload)))


def room_direct(who: Who, payload: RoomDirect) -> Answer:
    """Open or find the direct room with some people."""
    room, is_new = services.room_direct(who.tenant, who.user, user_ids=payload.user_ids)
    return _room(room, is_new=is_new)


def room_settings(who: Who, payload: RoomSettings) -> Answer:
    """Change the user's own settings of a room."""
    return _room(services.room_settings(who.tenant, who.user, **_fields(payload)))


def member_list(who: Who, payload: InRoom) -> Answer:
    """List the members of a room."""
    members = selectors.member_list(who.tenant.id, who.user.id, payload.room_id)
    return Answer(wire.MemberList(payload.room_id, members))


def message_list(who: Who, payload: MessageList) -> Answer:
    """Return a page of a room's messages."""
    return Answer(reading.message_list(who.tenant.id, who.user.id, **_fields(payload)))


def message_changes(who: Who, payload: MessageChanges) -> Answer:
    """Return the messages that changed after a change number, each once, in its newest state."""
    return Answer(reading.message_changes(who.tenant.id, who.user.id, **_fields(payload)))


def message_post(who: Who, payload: MessageSend) -> Answer:
    """Store and publish a message."""
    sent = sending.message_post(draft_of(who, payload))
    return Answer(wire.MessageReply(sent.message), is_new=sent.is_new)


def message_edit(who: Who, payload: MessageEdit) -> Answer:
    """Change the text of a message."""
    message = changing.message_edit(who.tenant, who.user, **_fields(payload))
    return Answer(wire.MessageReply(message))


def message_delete(who: Who, payload: MessageDelete) -> Answer:
    """Delete a message: its text and files."""
    message = changing.message_delete(who.tenant, who.user, **_fields(payload))
    return Answer(wire.MessageReply(message))


def reaction_add(who: Who, payload: MessageReaction) -> Answer:
    """Give an emoji to a message."""
    return _changed(changing.reaction_add(who.tenant, who.user, **_fields(payload)), can_be_new=True)


def reaction_remove(who: Who, payload: MessageReaction) -> Answer:
    """Take the user's own emoji back from a message."""
    return _changed(changing.reaction_remove(who.tenant, who.user, **_fields(payload)))


def pin_add(who: Who, payload: OneMessage) -> Answer:
    """Pin a message to its room."""
    pinned = changing.message_pin(who.tenant, who.user, **_fields(payload), is_pinned=True)
    return _changed(pinned, can_be_new=True)


def pin_remove(who: Who, payload: OneMessage) -> Answer:
    """Remove a pinned message from the pins of its room."""
    return _changed(changing.message_pin(who.tenant, who.user, **_fields(payload), is_pinned=False))


def pin_list(who: Who, payload: InRoom) -> Answer:
    """List the pinned messages of a room, the last pinned first."""
    return Answer(reading.pin_list(who.tenant.id, who.user.id, payload.room_id))


def read(who: Who, payload: Read) -> Answer:
    """Move the user's read mark."""
    seq = services.read_mark(who.tenant, who.user, **_fields(payload))
    return Answer(wire.ReadMark(payload.room_id, seq))


def search(who: Who, payload: Search) -> Answer:
    """Find messages: `from: in: before: after: has:` and words. The newest come first."""
    messages, has_more = searching.search(who.tenant.id, who.user.id, **_fields(payload))
    return Answer(wire.FoundMessages(messages, has_more))


def user_list(who: Who, payload: UserList) -> Answer:
    """Find members of the tenant by part of their names."""
    people = profiles.user_list(who.tenant.id, query=payload.query, limit=payload.limit)
    return Answer(wire.FoundPeople(people))


def profile_get(who: Who, payload: NoPayload) -> Answer:
    """Return the user's own profile."""
    return Answer(wire.ProfileReply(profiles.profile_get(who.tenant.id, who.user.id)))


def profile_update(who: Who, payload: ProfileUpdate) -> Answer:
    """Change the user's display name and status."""
    person = profiles.profile_update(who.tenant, who.user, **_fields(payload))
    return Answer(wire.ProfileReply(person))


@dataclass(frozen=True, slots=True)
class Operation:
    """A use case. `reply` is the type of the reply, `route` its HTTP method and path under `/api/chat/`."""

    payload: type[Struct]
    run: Callable[[Who, Any], Answer]
    reply: str
    route: str
    scopes: tuple[str, ...] = WRITE

    def answer(self, who: Who, payload: Any) -> Answer:
        """Run it; once more if what it relied on was deleted before its commit, which says so as it should."""
        try:
            return self.run(who, payload)
        except IntegrityError:
            return self.run(who, payload)


_ROOM = "rooms/<int:room_id>/"
_MESSAGE = f"{_ROOM}messages/<int:seq>/"
_REACTION = f"{_MESSAGE}reactions/<str:emoji>/"

OPERATIONS: Mapping[str, Operation] = {
    "room.list": Operation(NoPayload, room_list, "room.list", "GET rooms/", READ),
    "room.get": Operation(InRoom, room_get, "room", f"GET {_ROOM}", READ),
    "room.create": Operation(RoomCreate, room_create, "room", "POST rooms/"),
    "room.join": Operation(InRoom, room_join, "room", f"POST {_ROOM}join/"),
    "room.leave": Operation(InRoom, room_leave, "room.left", f"POST {_ROOM}leave/"),
    "room.update": Operation(RoomUpdate, room_update, "room", f"PATCH {_ROOM}"),
    "room.invite": Operation(RoomInvite, room_invite, "room", f"POST {_ROOM}invite/"),
    "room.remove": Operation(RoomRemove, room_remove, "room", f"POST {_ROOM}remove/"),
    "room.role": Operation(RoomRole, room_role, "room", f"POST {_ROOM}role/"),
    "room.direct": Operation(RoomDirect, room_direct, "room", "POST direct/"),
    "room.settings": Operation(RoomSettings, room_settings, "room", f"POST {_ROOM}settings/", READ),
    "member.list": Operation(InRoom, member_list, "member.list", f"GET {_ROOM}members/", READ),
    "message.list": Operation(MessageList, message_list, "message.list", f"GET {_ROOM}messages/", READ),
    "message.changes": Operation(
        MessageChanges, message_changes, "message.changes", f"GET {_ROOM}changes/", READ
    ),
    "message.send": Operation(MessageSend, message_post, "message.sent", f"POST {_ROOM}messages/"),
    "message.edit": Operation(MessageEdit, message_edit, "message.edited", f"PATCH {_MESSAGE}"),
    "message.delete": Operation(MessageDelete, message_delete, "message.deleted", f"DELETE {_MESSAGE}"),
    "reaction.add": Operation(MessageReaction, reaction_add, "message.reacted", f"PUT {_REACTION}"),
    "reaction.remove": Operation(MessageReaction, reaction_remove, "message.reacted", f"DELETE {_REACTION}"),
    "pin.add": Operation(OneMessage, pin_add, "message.pinned", f"PUT {_MESSAGE}pin/"),
    "pin.remove": Operation(OneMessage, pin_remove, "message.pinned", f"DELETE {_MESSAGE}pin/"),
    "pin.list": Operation(InRoom, pin_list, "pin.list", f"GET {_ROOM}pins/", READ),
    "read": Operation(Read, read, "read", f"POST {_ROOM}read/", READ),
    "search": Operation(Search, search, "search", "GET search/", READ),
    "user.list": Operation(UserList, user_list, "users", "GET users/", READ),
    "profile.get": Operation(NoPayload, profile_get, "profile", "GET profile/", READ),
    "profile.update": Operation(ProfileUpdate, profile_update, "profile", "PATCH profile/"),
}


def draft_of(who: Who, payload: MessageSend) -> MessageDraft:
    """Return the draft of a message to be sent."""
    return MessageDraft(
        who.tenant,
        who.user,
        payload.room_id,
        payload.text,
        payload.client_msg_id,
        payload.reply_to,
        tuple(payload.file_ids),
    )


def _fields(payload: Struct) -> dict[str, Any]:
    return {name: getattr(payload, name) for name in payload.__struct_fields__}


def _room(room: wire.Room, *, is_new: bool = False) -> Answer:
    return Answer(wire.RoomReply(room), is_new=is_new)


def _changed(changed: changing.Changed, *, can_be_new: bool = False) -> Answer:
    message, has_changed = changed
    return Answer(wire.MessageReply(message), is_new=can_be_new and has_changed)
