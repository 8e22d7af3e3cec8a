"""The payloads of the chat's operations, as types. What arrives is checked against them, by verb and by REST."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from msgspec import Meta, Struct, field

from chat import wire
from chat.text import EMOJI_MAX_CHARS, TEXT_MAX_CHARS

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
