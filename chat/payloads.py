"""Rooms, messages and members on the wire, for replies, publications and the page."""

from datetime import UTC
from typing import Any

from chat.selectors import MemberView, MessageView, RoomView
from chat.topics import room_topic


def room_payload(room: RoomView) -> dict[str, Any]:
    """Return the payload of a room as one user sees it."""
    return {
        "id": room.id,
        "name": room.name,
        "topic": room_topic(room.id),
        "is_public": room.is_public,
        "is_member": room.is_member,
        "member_count": room.member_count,
        "last_seq": room.last_seq,
        "read_seq": room.read_seq or 0,
        "unread": room.unread,
    }


def message_payload(message: MessageView) -> dict[str, Any]:
    """Return the payload of a message."""
    return {
        "id": message.id,
        "room_id": message.room_id,
        "seq": message.seq,
        "author": {"id": message.author.id, "username": message.author.username},
        "text": message.text,
        "sent_at": message.sent_at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "client_msg_id": str(message.client_msg_id),
    }


def member_payload(member: MemberView) -> dict[str, Any]:
    """Return the payload of a member of a room."""
    return {"id": member.id, "username": member.username, "status": member.status}
