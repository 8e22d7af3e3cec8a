"""A message as its readers see it."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from msgspec import Struct

from realtime import Publisher, UserId

# Characters of a quoted message that are shown with the reply.
QUOTE_MAX_CHARS = 300


@dataclass(frozen=True, slots=True)
class Author:
    """A user with a display name. `id` and `username` are None if the account was deleted."""

    id: UserId | None = None
    username: str | None = None
    name: str = "former member"


@dataclass(frozen=True, slots=True)
class Quote:
    """The message that a message replies to, in its current state."""

    seq: int
    author: Author
    text: str
    deleted: bool


@dataclass(frozen=True, slots=True)
class ReactionView:
    """The number of times that an emoji was given to a message. `mine` depends on the reader."""

    emoji: str
    count: int
    mine: bool = False


@dataclass(frozen=True, slots=True)
class FileView:
    """A file of a message. `size` is in bytes, `width` and `height` in pixels (pictures only)."""

    id: int
    name: str
    type: str
    size: int
    width: int | None = None
    height: int | None = None


class MessageView(Struct, frozen=True):
    """A stored message. `author` is None if the account was deleted; `name` is the author's display name.

    A Struct, because many are made at once, while their rooms are locked.
    """

    id: int
    room_id: int
    seq: int
    author: Publisher | None
    text: str
    client_msg_id: UUID
    sent_at: datetime
    name: str = ""
    rev: int = 0
    html: str = ""
    edited_at: datetime | None = None
    deleted: bool = False
    reply_to: Quote | None = None
    reactions: tuple[ReactionView, ...] = ()
    files: tuple[FileView, ...] = ()
    mentions: tuple[UserId, ...] = ()


def author_of(user_id: UserId | None, username: str | None, name: str | None) -> Author:
    """Return an author. Without a display name the user name is shown."""
    return Author() if user_id is None or username is None else Author(user_id, username, name or username)


def quote_of(seq: int, author: Author, text: str, *, is_deleted: bool) -> Quote:
    """Return the quote of a message, cut to QUOTE_MAX_CHARS."""
    short = text if len(text) <= QUOTE_MAX_CHARS else f"{text[: QUOTE_MAX_CHARS - 1]}…"
    return Quote(seq, author, "" if is_deleted else short, is_deleted)
