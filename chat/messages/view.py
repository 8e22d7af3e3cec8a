"""The parts of a message that are made of several columns."""

from chat import wire
from realtime import UserId

# Characters of a quoted message that are shown with the reply.
QUOTE_MAX_CHARS = 300


def author_of(user_id: UserId | None, username: str | None, name: str | None) -> wire.Author:
    """Return an author. Without a display name the user name is shown."""
    if user_id is None or username is None:
        return wire.Author(None, None, "former member")
    return wire.Author(int(user_id), username, name or username)


def quote_of(seq: int, author: wire.Author, text: str, *, is_deleted: bool) -> wire.Quote:
    """Return the quote of a message, cut to QUOTE_MAX_CHARS."""
    short = text if len(text) <= QUOTE_MAX_CHARS else f"{text[: QUOTE_MAX_CHARS - 1]}…"
    return wire.Quote(seq, author, "" if is_deleted else short, is_deleted)


def file_of(
    file_id: int, name: str, kind: str, size: int, width: int | None, height: int | None
) -> wire.File:
    """Return a file. `url` is a path of this host, for the members of the message's room."""
    return wire.File(file_id, name, kind, size, file_url(file_id), width, height)


def file_url(file_id: int) -> str:
    """Return the path of a file on this host."""
    return f"/api/chat/files/{file_id}/"
