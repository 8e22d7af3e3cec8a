"""What the chat tells those who watch. Called inside the transaction of a service; it goes out on commit.

What has committed stands, even where nobody could be told (the broker is away): that is logged, and clients
see it by the numbers of the messages.
"""

from typing import Any

from django.db import transaction

from chat.models import Message
from chat.payloads import message_payload, room_payload
from chat.selectors import RoomView
from chat.topics import room_topic, typing_topic, user_topic
from realtime.api import end_subscriptions, publish
from realtime.core.history import Publisher
from realtime.core.identity import Tenant


def announce_message(tenant: Tenant, author: Publisher, message: Message) -> None:
    """A new message, to the room."""
    data = {"event": "message", "message": message_payload(message)}
    _on_commit(room_topic(message.room_id), data, tenant, author)


def announce_joined(tenant: Tenant, user: Publisher, room: RoomView) -> None:
    """Somebody came: to the room, and the room to the user's own screens."""
    _on_commit(room_topic(room.id), {"event": "member", "joined": _user(user)}, tenant, user)
    _on_commit(user_topic(user.id), {"event": "room", "room": room_payload(room)}, tenant, user)


def announce_left(tenant: Tenant, user: Publisher, room: RoomView) -> None:
    """Somebody went: to the room, and the room to the user's own screens, which hear no more of it."""
    _on_commit(room_topic(room.id), {"event": "member", "left": _user(user)}, tenant, user)
    _on_commit(user_topic(user.id), {"event": "room", "room": room_payload(room)}, tenant, user)
    for topic in (room_topic(room.id), typing_topic(room.id)):
        end_subscriptions(topic, tenant=tenant.slug, user_id=user.id)


def announce_read(tenant: Tenant, user: Publisher, *, room_id: int, seq: int) -> None:
    """A read mark that moved: to the room, and to the user's own screens."""
    _on_commit(room_topic(room_id), {"event": "read", "user_id": user.id, "seq": seq}, tenant, user)
    _on_commit(user_topic(user.id), {"event": "read", "room_id": room_id, "seq": seq}, tenant, user)


def announce_typing(tenant: Tenant, user: Publisher, *, room_id: int) -> None:
    """Somebody is typing."""
    _on_commit(typing_topic(room_id), {"event": "typing", "user": _user(user)}, tenant, user)


def _on_commit(topic: str, data: dict[str, Any], tenant: Tenant, publisher: Publisher) -> None:
    def announce() -> None:
        publish(topic, data, tenant=tenant.slug, publisher=publisher)

    transaction.on_commit(announce, robust=True)


def _user(user: Publisher) -> dict[str, Any]:
    return {"id": user.id, "username": user.username}
