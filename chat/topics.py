"""The chat's topics, and who may subscribe to them. Only the server publishes here.

Settings import this module, so nothing here may import models before a gate is asked.
"""

import re
from dataclasses import replace

from chat.wire import PublicRoomsData, RoomData, TypingEvent
from realtime import Identity, TopicRule, UserId, nobody

# An id in our own notation: no sign, no leading zero, and it fits into 64 bits of the database.
_ROOM_TOPIC = re.compile(r"(?:room|typing):([1-9][0-9]{0,17})", re.ASCII)


# Tells every member of the tenant which public rooms there are.
PUBLIC_ROOMS_TOPIC = "rooms:public"
# Its presence: the users who use the chat at this moment. A user who is only connected is away.
ACTIVE_TOPIC = "rooms:active"


def typing_topic(room_id: int) -> str:
    """Return the topic that tells who is typing in a room. It keeps no history."""
    return f"typing:{room_id}"


def user_topic(user_id: UserId) -> str:
    """Return the topic of one user's events, for all of the user's screens."""
    return f"user:{user_id}"


def room_id_of(topic: str) -> int | None:
    """Return the room of a `room:` or `typing:` topic; None for any other name."""
    match = _ROOM_TOPIC.fullmatch(topic)
    return int(match[1]) if match else None


def may_read(identity: Identity | None, topic: str) -> bool:
    """The first gate, without I/O: the reader must be signed in and the name well-formed."""
    return identity is not None and "chat:read" in identity.scopes and room_id_of(topic) is not None


def is_reader(identity: Identity | None, topic: str) -> bool:
    """The gate of the tenant's own topics: any member of the tenant who may read the chat."""
    is_known = topic in {PUBLIC_ROOMS_TOPIC, ACTIVE_TOPIC}
    return is_known and identity is not None and "chat:read" in identity.scopes


def is_in_room(identity: Identity | None, topic: str) -> bool:
    """The second gate, in a database thread: the reader must be in the room.

    Raises RequestError(not_found | permission_denied), like every verb about the room.
    """
    # Imported here, because settings import this module before models can be imported.
    from chat.selectors import access_joined_room, is_joined, tenant_id_of  # noqa: PLC0415

    room_id = room_id_of(topic)
    if identity is None or room_id is None:
        return False
    # A page asks for each of its rooms.
    if not is_joined(identity.tenant, identity.user_id, room_id):
        access_joined_room(tenant_id_of(identity.tenant), identity.user_id, room_id)
    return True


# Messages are not for operators: they see which users follow a room, but none of its data.
_ROOM = TopicRule(
    subscribe=may_read, publish=nobody, subscribe_in_db=is_in_room, operator="metadata", data=RoomData
)
ROOM_TOPICS = {
    "rooms": TopicRule(subscribe=is_reader, publish=nobody, operator="metadata", data=PublicRoomsData),
    "room": _ROOM,
    "typing": replace(_ROOM, history_size=0, data=TypingEvent),
}
