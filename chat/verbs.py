"""The verbs of the chat. Each calls one service or selector in a database thread and sends one reply."""

import asyncio
from collections.abc import Mapping
from time import monotonic
from typing import Annotated, Protocol
from uuid import UUID

from msgspec import Meta, Struct

from chat import selectors, services
from chat.announcements import aannounce_typing
from chat.batches import MessageDraft
from chat.payloads import member_payload, message_payload, room_payload
from chat.text import TEXT_MAX_CHARS
from chat.topics import room_topic, typing_topic
from chat.typing import Typing
from chat.writer import NotStoredError
from chat.writers import writers_of
from realtime import (
    Call,
    Caller,
    ErrorCode,
    NoPayload,
    Publisher,
    Reply,
    RequestError,
    Verb,
    internal_error,
)

MESSAGES_PER_PAGE = 50
MESSAGES_PER_PAGE_MAX = 100
# Seconds that a sender waits for the writer and the database; beyond it `timeout`. Sending again is safe.
SEND_TIMEOUT_S = 10.0

# Signed 64-bit integers of the database: an id above zero, and a number from zero.
RoomId = Annotated[int, Meta(ge=1, le=2**63 - 1)]
Seq = Annotated[int, Meta(ge=0, le=2**63 - 1)]


class RoomCreate(Struct, frozen=True):
    """Payload of `room.create`."""

    name: Annotated[str, Meta(min_length=1, max_length=TEXT_MAX_CHARS)]
    is_public: bool = True


class InRoom(Struct, frozen=True):
    """Payload of verbs about one room."""

    room_id: RoomId


class MessageList(Struct, frozen=True):
    """Payload of `message.list`: the first messages after `after_seq`, or the newest before `before_seq`."""

    room_id: RoomId
    before_seq: Seq | None = None
    after_seq: Seq | None = None
    limit: Annotated[int, Meta(ge=1, le=MESSAGES_PER_PAGE_MAX)] = MESSAGES_PER_PAGE


class MessageSend(Struct, frozen=True):
    """Payload of `message.send`. `client_msg_id` is chosen by the sender and the same in every retry."""

    room_id: RoomId
    text: Annotated[str, Meta(min_length=1, max_length=TEXT_MAX_CHARS)]
    client_msg_id: UUID


class Read(Struct, frozen=True):
    """Payload of `read`: the newest message that the user has read."""

    room_id: RoomId
    seq: Seq


class ChatCaller(Caller, Protocol):
    """The chat's consumer, with the state that it keeps for its connection."""

    typing: Typing | None


async def on_room_list(call: Call, payload: NoPayload) -> Reply:
    """List the rooms that the user may see."""
    rooms = await call.in_db(selectors.room_list, call.tenant.id, call.require_identity().user_id)
    return Reply("room.list", {"rooms": [room_payload(room) for room in rooms]})


async def on_room_create(call: Call, payload: RoomCreate) -> Reply:
    """Create a room."""
    room = await call.in_db(
        services.room_create, call.tenant, _user(call), name=payload.name, is_public=payload.is_public
    )
    return Reply("room", {"room": room_payload(room)})


async def on_room_join(call: Call, payload: InRoom) -> Reply:
    """Join a room."""
    room = await call.in_db(services.room_join, call.tenant, _user(call), room_id=payload.room_id)
    return Reply("room", {"room": room_payload(room)})


async def on_room_leave(call: Call, payload: InRoom) -> Reply:
    """Leave a room."""
    await call.in_db(services.room_leave, call.tenant, _user(call), room_id=payload.room_id)
    return Reply("room.left", {"room_id": payload.room_id})


async def on_message_list(call: Call, payload: MessageList) -> Reply:
    """Return a page of a room's messages."""
    page = await call.in_db(
        selectors.message_list,
        call.tenant.id,
        call.require_identity().user_id,
        payload.room_id,
        limit=payload.limit,
        before_seq=payload.before_seq,
        after_seq=payload.after_seq,
    )
    messages = [message_payload(message) for message in page.messages]
    return Reply(
        "message.list", {"room_id": payload.room_id, "messages": messages, "has_more": page.has_more}
    )


async def on_message_send(call: Call, payload: MessageSend) -> Reply:
    """Store a message and reply after the commit.

    Not a slow verb, so that a sender's messages keep their order and a client that sends faster than messages
    are stored is read more slowly. It still has a timeout.
    """
    draft = MessageDraft(call.tenant, _user(call), payload.room_id, payload.text, payload.client_msg_id)
    try:
        async with asyncio.timeout(SEND_TIMEOUT_S):
            message = await writers_of(call.node).send(draft)
    except TimeoutError:
        reason = "The message was not stored in time; send it again with the same client_msg_id."
        raise RequestError(ErrorCode.TIMEOUT, reason) from None
    except NotStoredError:
        raise internal_error(call.connection.id) from None
    return Reply("message.sent", {"message": message_payload(message)})


async def on_typing(call: Call[ChatCaller], payload: InRoom) -> Reply:
    """Tell the room that the user is typing.

    Not a slow verb: for a connection that subscribes to the room it needs no query and no task. Other
    connections may cause a few queries a second.
    """
    user, room_id, typing = _user(call), payload.room_id, _typing(call)
    if not _follows(call, room_id) and typing.may_look_up(room_id, monotonic()):
        await call.in_db(selectors.access_joined_room, call.tenant.id, user.id, room_id)
    if typing.is_due(room_id, monotonic()):
        await aannounce_typing(call.node, call.tenant, user, room_id=room_id)
    return Reply("typing", {"room_id": room_id})


async def on_read(call: Call, payload: Read) -> Reply:
    """Move the user's read mark."""
    seq = await call.in_db(
        services.read_mark, call.tenant, _user(call), room_id=payload.room_id, seq=payload.seq
    )
    return Reply("read", {"room_id": payload.room_id, "seq": seq})


async def on_member_list(call: Call, payload: InRoom) -> Reply:
    """List the members of a room."""
    user_id = call.require_identity().user_id
    members = await call.in_db(selectors.member_list, call.tenant.id, user_id, payload.room_id)
    return Reply(
        "member.list",
        {"room_id": payload.room_id, "members": [member_payload(member) for member in members]},
    )


READ = ("chat:read",)
WRITE = ("chat:write",)

CHAT_VERBS: Mapping[str, Verb] = {
    "room.list": Verb(NoPayload, on_room_list, is_slow=True, scopes=READ),
    "room.create": Verb(RoomCreate, on_room_create, is_slow=True, scopes=WRITE),
    "room.join": Verb(InRoom, on_room_join, is_slow=True, scopes=WRITE),
    "room.leave": Verb(InRoom, on_room_leave, is_slow=True, scopes=WRITE),
    "message.list": Verb(MessageList, on_message_list, is_slow=True, scopes=READ),
    "message.send": Verb(MessageSend, on_message_send, scopes=WRITE),
    "typing": Verb(InRoom, on_typing, scopes=WRITE),
    "read": Verb(Read, on_read, is_slow=True, scopes=READ),
    "member.list": Verb(InRoom, on_member_list, is_slow=True, scopes=READ),
}


def _user(call: Call) -> Publisher:
    identity = call.require_identity()
    return Publisher(identity.user_id, identity.username)


def _follows(call: Call, room_id: int) -> bool:
    """Whether the connection subscribes to the room. Only members can, and it ends with the membership."""
    subscriptions = call.connection.subscriptions
    topics = (room_topic(room_id), typing_topic(room_id))
    return any(topic in subscriptions and subscriptions[topic].is_live for topic in topics)


def _typing(call: Call[ChatCaller]) -> Typing:
    """Return the connection's Typing. It is created at the first use."""
    consumer = call.consumer
    if consumer.typing is None:
        consumer.typing = Typing(monotonic())
    return consumer.typing
