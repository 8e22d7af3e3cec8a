"""Rooms, messages and members on the wire, for replies, publications and the page."""

from datetime import UTC, datetime
from typing import Any

from chat.messages.view import Author, FileView, MessageView, Quote, ReactionView
from chat.selectors import MemberView, RoomView
from chat.topics import room_topic
from chat.wire import VIEWERS_OWN


def room_payload(room: RoomView) -> dict[str, Any]:
    """Return the payload of a room as one user sees it."""
    return {
        "id": room.id,
        "name": room.name,
        "topic": room_topic(room.id),
        "kind": room.kind,
        "is_public": room.is_public,
        "topic_line": room.topic_line,
        "archived": room.archived,
        "is_member": room.is_member,
        "member_count": room.member_count,
        "last_seq": room.last_seq,
        "last_rev": room.last_rev,
        "last_message_at": _time(room.last_message_at),
        "read_seq": room.read_seq or 0,
        "unread": room.unread,
        "mentions": room.mentions,
        "level": room.level,
        "is_favourite": room.is_favourite,
        "role": room.role,
    }


def shared_room_payload(room: RoomView) -> dict[str, Any]:
    """Return the part of a room's payload that is the same for everyone."""
    return {key: value for key, value in room_payload(room).items() if key not in VIEWERS_OWN}


def message_payload(message: MessageView, *, is_shared: bool = False) -> dict[str, Any]:
    """Return the payload of a message. `is_shared`: for all readers, without fields that depend on one."""
    return {
        "id": message.id,
        "room_id": message.room_id,
        "seq": message.seq,
        "rev": message.rev,
        "author": _sender(message),
        "text": message.text,
        "html": message.html,
        "sent_at": _time(message.sent_at),
        "edited_at": _time(message.edited_at),
        "deleted": message.deleted,
        "reply_to": message.reply_to and _quote(message.reply_to),
        "reactions": [_reaction(each, is_shared=is_shared) for each in message.reactions],
        "files": [file_payload(each) for each in message.files],
        "mentions": list(message.mentions),
        "client_msg_id": str(message.client_msg_id),
    }


def _sender(message: MessageView) -> dict[str, Any]:
    sender = message.author
    if sender is None:
        return _author(Author())
    return {"id": sender.id, "username": sender.username, "name": message.name or sender.username}


def _reaction(reaction: ReactionView, *, is_shared: bool) -> dict[str, Any]:
    shared = {"emoji": reaction.emoji, "count": reaction.count}
    return shared if is_shared else {**shared, "mine": reaction.mine}


def file_payload(file: FileView) -> dict[str, Any]:
    """Return the payload of a file. `url` is a path of this host, for the members of the message's room."""
    return {
        "id": file.id,
        "name": file.name,
        "type": file.type,
        "size": file.size,
        "url": f"/api/chat/files/{file.id}/",
        "width": file.width,
        "height": file.height,
    }


def member_payload(member: MemberView) -> dict[str, Any]:
    """Return the payload of a member of a room."""
    return {**user_payload(member), "role": member.role}


def user_payload(member: MemberView) -> dict[str, Any]:
    """Return the payload of a user of the tenant."""
    return {
        "id": member.id,
        "username": member.username,
        "name": member.name or member.username,
        "status": member.status,
        "status_emoji": member.status_emoji,
    }


def _quote(quote: Quote) -> dict[str, Any]:
    return {
        "seq": quote.seq,
        "author": _author(quote.author),
        "text": quote.text,
        "deleted": quote.deleted,
    }


def _author(author: Author) -> dict[str, Any]:
    return {"id": author.id, "username": author.username, "name": author.name}


def _time(time: datetime | None) -> str | None:
    if time is None:
        return None
    # Databases give UTC.
    utc = time if time.tzinfo is UTC else time.astimezone(UTC)
    return f"{utc.isoformat(timespec='milliseconds')[:-6]}Z"
