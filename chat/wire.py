"""The chat on the wire, as types: the payloads of its replies, and the data of its publications.

Services and selectors return rooms, messages and people in this form. With DEBUG and in tests all that is sent is checked
against the types. AsyncAPI, OpenAPI and the generated TypeScript client are made from them.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Literal, TypeVar
from uuid import UUID

from msgspec import UNSET, Meta, Struct, UnsetType, json

from realtime import UserId

# In UTC, with milliseconds: `time_of`.
Time = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]
# The roles of members in a room; `chat.rooms.rights` has the rights of each.
Role = Literal["owner", "moderator", "member", "guest"]
# Characters of a quoted message that are shown with the reply.
QUOTE_MAX_CHARS = 300
# The messages of a room that a user is notified of.
Level = Literal["all", "mentions", "nothing"]
# Bytes of JSON of what one reply lists. A page of long messages has fewer of them, and says that there are more.
PAGE_BYTES_MAX = 512 * 1024

_Listed = TypeVar("_Listed", bound=Struct)


def time_of(time: datetime) -> Time:
    """Return a time as it is sent."""
    # Databases give UTC.
    utc = time if time.tzinfo is UTC else time.astimezone(UTC)
    return f"{utc.isoformat(timespec='milliseconds')[:-6]}Z"


class Author(Struct, frozen=True):
    """A user with a display name; "former member", without id and username, if the account was deleted."""

    id: int | None
    username: str | None
    name: str


class NamedUser(Struct, frozen=True):
    """A user without more than the user name."""

    id: int
    username: str


class ChangedMember(NamedUser, frozen=True):
    """A member of a room with a new role."""

    role: Role


class Person(NamedUser, frozen=True):
    """A user of the tenant. `name` is the display name, or else the user name, `picture` a path as `url` of a file."""

    name: str
    status: str
    status_emoji: str
    picture: str | UnsetType = UNSET


class Member(Person, frozen=True, kw_only=True):
    """A member of a room."""

    role: Role


class SharedReaction(Struct, frozen=True):
    """The number of times that an emoji was given to a message."""

    emoji: str
    count: int


class Reaction(SharedReaction, frozen=True):
    """The number of times that an emoji was given to a message, and whether the reader gave it too."""

    mine: bool


class File(Struct, frozen=True):
    """A file of a message. `size` is in bytes, `width` and `height` in pixels (pictures only); `url` is a path."""

    id: int
    name: str
    type: str
    size: int
    url: str
    width: int | None
    height: int | None


class Quote(Struct, frozen=True):
    """The message that a message replies to, in its current state."""

    seq: int
    author: Author
    text: str
    deleted: bool


class _AnyMessage(Struct, frozen=True):
    id: int
    room_id: int
    seq: int
    rev: int
    author: Author
    text: str
    html: str
    sent_at: Time
    edited_at: Time | None
    deleted: bool
    reply_to: Quote | None
    files: list[File]
    mentions: list[int]
    client_msg_id: UUID


class SharedMessage(_AnyMessage, frozen=True):
    """A message as all readers of a room get it."""

    reactions: list[SharedReaction]


class Message(_AnyMessage, frozen=True):
    """A message as one reader sees it."""

    reactions: list[Reaction]


class SharedRoom(Struct, frozen=True):
    """The fields of a room that are the same for all users who may see it."""

    id: int
    name: str
    topic: str
    kind: Literal["public", "private", "direct"]
    is_public: bool
    topic_line: str
    archived: bool
    member_count: int
    last_seq: int
    last_rev: int
    last_message_at: Time | None


class Room(SharedRoom, frozen=True):
    """A room as one user sees it."""

    is_member: bool
    read_seq: int
    unread: int
    mentions: int
    level: Level
    is_favourite: bool
    role: Role | None


def fitting(listed: list[_Listed], bytes_max: int) -> list[_Listed]:
    """Return the first things that take about `bytes_max` bytes of JSON together, at least one of them."""
    size = 0
    for count, each in enumerate(listed):
        size += len(json.encode(each))
        if count and size > bytes_max:
            return listed[:count]
    return listed


def author_of(user_id: UserId | None, username: str | None, name: str | None) -> Author:
    """Return an author. Without a display name the user name is shown."""
    if user_id is None or username is None:
        return Author(None, None, "former member")
    return Author(int(user_id), username, name or username)


def quote_of(seq: int, author: Author, text: str, *, is_deleted: bool) -> Quote:
    """Return the quote of a message, cut to QUOTE_MAX_CHARS."""
    short = text if len(text) <= QUOTE_MAX_CHARS else f"{text[: QUOTE_MAX_CHARS - 1]}…"
    return Quote(seq, author, "" if is_deleted else short, is_deleted)


def file_of(file_id: int, name: str, kind: str, size: int, width: int | None, height: int | None) -> File:
    """Return a file. `url` is a path of this host, for the members of the message's room."""
    return File(file_id, name, kind, size, file_url(file_id), width, height)


def file_url(file_id: int) -> str:
    """Return the path of a file on this host."""
    return f"/api/chat/files/{file_id}/"


def room_topic(room_id: int) -> str:
    """Return the topic of a room's events: messages, read marks, who joins and leaves."""
    return f"room:{room_id}"


class RoomReply(Struct, frozen=True):
    """A room."""

    room: Room


class RoomList(Struct, frozen=True):
    """The rooms that the user may see."""

    rooms: list[Room]


class OfRoom(Struct, frozen=True):
    """Done in this room."""

    room_id: int


class MemberList(OfRoom, frozen=True):
    """The members of a room."""

    members: list[Member]


class MessagePage(OfRoom, frozen=True):
    """Messages of a room by their numbers, and whether there are more before and after them."""

    messages: list[Message]
    has_older: bool
    has_newer: bool
    has_more: bool
    last_rev: int


class ChangedMessages(Struct, frozen=True):
    """Each message that changed, once, in its newest state."""

    messages: list[Message]
    last_rev: int
    has_more: bool


class MessageReply(Struct, frozen=True):
    """A message."""

    message: Message


class PinList(OfRoom, frozen=True):
    """The pinned messages of a room, the last pinned first, and whether there are more than fit."""

    messages: list[Message]
    has_more: bool


class ReadMark(OfRoom, frozen=True):
    """The newest message that the user has read."""

    seq: int


class FoundMessages(Struct, frozen=True):
    """Messages that were found, the newest first."""

    messages: list[Message]
    has_more: bool


class FoundPeople(Struct, frozen=True):
    """Users of the tenant that were found."""

    users: list[Person]


class ProfileReply(Struct, frozen=True):
    """The user's own profile."""

    profile: Person


# The payloads of replies by the type of the reply.
REPLIES: Mapping[str, type[Struct]] = {
    "room": RoomReply,
    "room.list": RoomList,
    "room.left": OfRoom,
    "member.list": MemberList,
    "message.list": MessagePage,
    "message.changes": ChangedMessages,
    "message.sent": MessageReply,
    "message.edited": MessageReply,
    "message.deleted": MessageReply,
    "message.reacted": MessageReply,
    "message.pinned": MessageReply,
    "pin.list": PinList,
    "read": ReadMark,
    "search": FoundMessages,
    "users": FoundPeople,
    "profile": ProfileReply,
    "typing": OfRoom,
}


class _Event(Struct, frozen=True, tag_field="event"):
    pass


class _MessageEvent(_Event, frozen=True):
    message: SharedMessage
    rev: int


class MessageSentEvent(_MessageEvent, frozen=True, tag="message"):
    """A new message."""


class MessageEditedEvent(_MessageEvent, frozen=True, tag="edited"):
    """A message has a new text."""


class MessageDeletedEvent(_MessageEvent, frozen=True, tag="deleted"):
    """A message has no text any more."""


class MessagePinnedEvent(_MessageEvent, frozen=True, tag="pinned"):
    """A message was pinned, or its pin was removed."""

    is_pinned: bool
    user_id: int


class MessageReactedEvent(_MessageEvent, frozen=True, tag="reacted"):
    """A user gave an emoji to a message, or took it back."""

    emoji: str
    user_id: int
    is_added: bool


class MemberEvent(_Event, frozen=True, tag="member"):
    """A user joined, left or has a new role."""

    rev: int
    joined: NamedUser | UnsetType = UNSET
    left: NamedUser | UnsetType = UNSET
    changed: ChangedMember | UnsetType = UNSET


class RoomEvent(_Event, frozen=True, tag="room"):
    """A room is new here, or has another name, topic line, kind or state."""

    rev: int
    room: SharedRoom


class ReadEvent(_Event, frozen=True, tag="read"):
    """A user's read mark moved."""

    user_id: int
    seq: int


class TypingEvent(_Event, frozen=True, tag="typing"):
    """A user is typing."""

    user: NamedUser


class GoneEvent(_Event, frozen=True, tag="gone"):
    """A public room was archived or became private."""

    room_id: int


RoomData = (
    MessageSentEvent
    | MessageEditedEvent
    | MessageDeletedEvent
    | MessageReactedEvent
    | MessagePinnedEvent
    | MemberEvent
    | RoomEvent
    | ReadEvent
)
PublicRoomsData = RoomEvent | GoneEvent
