"""The use cases of the chat: each is a verb of the socket and a route of the REST API.

An operation runs in a database thread.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Annotated, Any
from uuid import UUID

from django.db import IntegrityError
from msgspec import Meta, Struct, field
from msgspec.structs import asdict

from chat import selectors, services, wire
from chat.batches import MessageDraft
from chat.messages import changing, reading, sending
from chat.people import profiles
from chat.search import selectors as searching
from chat.text import EMOJI_MAX_CHARS, TEXT_MAX_CHARS
from chat.wire import REPLIES
from realtime import NoPayload, Publisher, Tenant, UserId

# Messages or users of one reply.
PER_PAGE = 50
PER_PAGE_MAX = 100
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
Limit = Annotated[int, Meta(ge=1, le=PER_PAGE_MAX)]
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


class RoomUpdate(InRoom, frozen=True):
    """Payload of `room.update`. Only the fields that are given are changed."""

    name: Annotated[str, Meta(min_length=1, max_length=TEXT_MAX_CHARS)] | None = None
    topic_line: Line | None = None
    is_public: bool | None = None
    archived: bool | None = None


class RoomInvite(InRoom, frozen=True):
    """Payload of `room.invite`."""

    user_ids: People


class RoomRemove(InRoom, frozen=True):
    """Payload of `room.remove`. The reason is for the audit log."""

    user_id: Id
    reason: Reason = ""


class RoomRole(InRoom, frozen=True):
    """Payload of `room.role`."""

    user_id: Id
    role: wire.Role


class RoomDirect(Struct, frozen=True):
    """Payload of `room.direct`: the other people."""

    user_ids: People


class RoomSettings(InRoom, frozen=True):
    """Payload of `room.settings`. Only the fields that are given are changed."""

    level: wire.Level | None = None
    is_favourite: bool | None = None


class MessageList(InRoom, frozen=True):
    """Payload of `message.list`: messages after, around or before a number, or the newest."""

    before_seq: Seq | None = None
    after_seq: Seq | None = None
    around_seq: Seq | None = None
    limit: Limit = PER_PAGE


class MessageChanges(InRoom, frozen=True):
    """Payload of `message.changes`: the changes after the room's change number `after_rev`."""

    after_rev: Seq
    limit: Limit = PER_PAGE_MAX


class MessageSend(InRoom, frozen=True):
    """Payload of `message.send`. `client_msg_id` is chosen by the sender and the same in every retry."""

    client_msg_id: UUID
    text: Text = ""
    reply_to_seq: Seq | None = field(name="reply_to", default=None)
    file_ids: Annotated[tuple[Id, ...], Meta(max_length=FILES_MAX)] = ()


class OneMessage(InRoom, frozen=True):
    """Payload of verbs about one message."""

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
    limit: Limit = PER_PAGE


class UserList(Struct, frozen=True):
    """Payload of `user.list`: part of a name."""

    query: Line = ""
    limit: Limit = PER_PAGE


class ProfileUpdate(Struct, frozen=True):
    """Payload of `profile.update`. Only the fields that are given are changed; an empty text clears one."""

    name: Line | None = None
    status: Line | None = None
    status_emoji: Line | None = None


@dataclass(frozen=True, slots=True)
class Operation:
    """A use case. `reply` is the type of the reply, `route` its HTTP method and path under `/api/chat/`.

    `run` is a selector if the method is GET, and is called with the ids of the tenant and the user. Otherwise it is a
    service. The fields of the payload are its keyword arguments. It returns the reply's payload or the one field of
    it, and may add whether something is new. The first paragraph of its docstring is for clients.
    """

    payload: type[Struct]
    run: Callable[..., Any]
    reply: str
    route: str
    scopes: tuple[str, ...] = WRITE

    @property
    def description(self) -> str:
        """What the operation does, for clients."""
        return str(self.run.__doc__).partition("\n\n")[0]

    def answer(self, tenant: Tenant, user: Publisher, payload: Struct) -> tuple[Struct, bool]:
        """Run the operation for a checked payload, and return the reply's payload and whether something was created.

        Raises what `run` raises.
        """
        method, kind = self.route.partition(" ")[0], REPLIES[self.reply]
        caller = (tenant.id, user.id) if method == "GET" else (tenant, user)
        run = partial(self.run, *caller, **asdict(payload))
        try:
            result = run()
        except IntegrityError:
            # What it relied on was deleted before its commit. Judged again, it says so as it should.
            result = run()
        result, is_new = result if isinstance(result, tuple) else (result, False)
        return result if isinstance(result, kind) else kind(result), is_new and method != "DELETE"


def room_create(tenant: Tenant, user: Publisher, **fields: Any) -> tuple[wire.Room, bool]:
    """Create a room."""
    return services.room_create(tenant, user, **fields), True


def member_list(tenant_id: int, user_id: UserId, room_id: int) -> wire.MemberList:
    """List the members of a room."""
    return wire.MemberList(room_id, selectors.member_list(tenant_id, user_id, room_id))


def message_post(tenant: Tenant, user: Publisher, **fields: Any) -> tuple[wire.Message, bool]:
    """Store and publish a message."""
    sent = sending.message_post(MessageDraft(tenant, user, **fields))
    return sent.message, sent.is_new


def pin_add(tenant: Tenant, user: Publisher, **fields: Any) -> changing.Changed:
    """Pin a message to its room."""
    return changing.message_pin(tenant, user, **fields, is_pinned=True)


def pin_remove(tenant: Tenant, user: Publisher, **fields: Any) -> changing.Changed:
    """Remove a pinned message from the pins of its room."""
    return changing.message_pin(tenant, user, **fields, is_pinned=False)


def read(tenant: Tenant, user: Publisher, *, room_id: int, seq: int, is_unread: bool) -> wire.ReadMark:
    """Move the user's read mark."""
    marked = services.read_mark(tenant, user, room_id=room_id, seq=seq, is_unread=is_unread)
    return wire.ReadMark(room_id, marked)


def search(tenant_id: int, user_id: UserId, **fields: Any) -> wire.FoundMessages:
    """Find messages: `from: in: before: after: has:` and words. The newest come first."""
    return wire.FoundMessages(*searching.search(tenant_id, user_id, **fields))


def user_list(tenant_id: int, user_id: UserId, **fields: Any) -> list[wire.Person]:
    """Find members of the tenant by part of their names."""
    return profiles.user_list(tenant_id, **fields)


_ROOM = "rooms/<int:room_id>/"
_MESSAGE = f"{_ROOM}messages/<int:seq>/"
_REACTION = f"{_MESSAGE}reactions/<str:emoji>/"

OPERATIONS: Mapping[str, Operation] = {
    "room.list": Operation(NoPayload, selectors.room_list, "room.list", "GET rooms/", READ),
    "room.get": Operation(InRoom, selectors.room_get, "room", f"GET {_ROOM}", READ),
    "room.create": Operation(RoomCreate, room_create, "room", "POST rooms/"),
    "room.join": Operation(InRoom, services.room_join, "room", f"POST {_ROOM}join/"),
    "room.leave": Operation(InRoom, services.room_leave, "room.left", f"POST {_ROOM}leave/"),
    "room.update": Operation(RoomUpdate, services.room_update, "room", f"PATCH {_ROOM}"),
    "room.invite": Operation(RoomInvite, services.room_invite, "room", f"POST {_ROOM}invite/"),
    "room.remove": Operation(RoomRemove, services.room_remove, "room", f"POST {_ROOM}remove/"),
    "room.role": Operation(RoomRole, services.room_role, "room", f"POST {_ROOM}role/"),
    "room.direct": Operation(RoomDirect, services.room_direct, "room", "POST direct/"),
    "room.settings": Operation(RoomSettings, services.room_settings, "room", f"POST {_ROOM}settings/", READ),
    "member.list": Operation(InRoom, member_list, "member.list", f"GET {_ROOM}members/", READ),
    "message.list": Operation(
        MessageList, reading.message_list, "message.list", f"GET {_ROOM}messages/", READ
    ),
    "message.changes": Operation(
        MessageChanges, reading.message_changes, "message.changes", f"GET {_ROOM}changes/", READ
    ),
    "message.send": Operation(MessageSend, message_post, "message.sent", f"POST {_ROOM}messages/"),
    "message.edit": Operation(MessageEdit, changing.message_edit, "message.edited", f"PATCH {_MESSAGE}"),
    "message.delete": Operation(
        MessageDelete, changing.message_delete, "message.deleted", f"DELETE {_MESSAGE}"
    ),
    "reaction.add": Operation(MessageReaction, changing.reaction_add, "message.reacted", f"PUT {_REACTION}"),
    "reaction.remove": Operation(
        MessageReaction, changing.reaction_remove, "message.reacted", f"DELETE {_REACTION}"
    ),
    "pin.add": Operation(OneMessage, pin_add, "message.pinned", f"PUT {_MESSAGE}pin/"),
    "pin.remove": Operation(OneMessage, pin_remove, "message.pinned", f"DELETE {_MESSAGE}pin/"),
    "pin.list": Operation(InRoom, reading.pin_list, "pin.list", f"GET {_ROOM}pins/", READ),
    "read": Operation(Read, read, "read", f"POST {_ROOM}read/", READ),
    "search": Operation(Search, search, "search", "GET search/", READ),
    "user.list": Operation(UserList, user_list, "users", "GET users/", READ),
    "profile.get": Operation(NoPayload, profiles.profile_get, "profile", "GET profile/", READ),
    "profile.update": Operation(ProfileUpdate, profiles.profile_update, "profile", "PATCH profile/"),
}
