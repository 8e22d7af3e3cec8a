"""The verbs of the chat: its operations, and those that need the connection."""

from collections.abc import Awaitable, Mapping
from dataclasses import replace
from time import monotonic
from typing import Any, Protocol

from msgspec import to_builtins
from msgspec.structs import asdict

from chat import selectors
from chat.announcements import aannounce_typing
from chat.batches import MessageDraft
from chat.operations import OPERATIONS, WRITE, Operation
from chat.payloads import InRoom, MessageSend
from chat.realtime import writers_of
from chat.topics import typing_topic
from chat.typing import Typing
from chat.wire import REPLIES, MessageReply, room_topic
from chat.writer import NotStoredError
from realtime import (
    Call,
    Caller,
    PublishedLater,
    Publisher,
    Reply,
    Tenant,
    Verb,
    internal_error,
)


class ChatCaller(Caller, Protocol):
    """The chat's consumer, with the state that it keeps for its connection."""

    @property
    def typing(self) -> Typing: ...


async def on_message_send(call: Call, payload: MessageSend) -> Reply:
    """Store a message and reply after the commit.

    Not a slow verb, so that a sender's messages keep their order and a client that sends faster than messages
    are stored is read more slowly. After a `timeout` sending it again with the same client_msg_id is safe.
    """
    draft = MessageDraft(**asdict(payload), tenant=call.tenant, author=_user(call))
    try:
        message = await writers_of(call.node).send(draft)
    except NotStoredError:
        raise internal_error(call.connection.id) from None
    return Reply("message.sent", to_builtins(MessageReply(message)))


def on_typing(call: Call[ChatCaller], payload: InRoom) -> Awaitable[Reply | None]:
    """Tell the room that the user is typing.

    Not a slow verb: for a connection that subscribes to the room it needs no query. Other connections may cause a few
    queries a second. A broker that answers late holds up nothing else of the connection.
    """
    user, room_id = _user(call), payload.room_id
    if not _follows(call, room_id) and call.consumer.typing.may_look_up(room_id, monotonic()):
        return _look_up_and_tell(call, user, room_id)
    return _tell_typing(call, user, room_id)


async def _look_up_and_tell(call: Call[ChatCaller], user: Publisher, room_id: int) -> None:
    await call.in_db(selectors.access_joined_room, call.tenant.id, user.id, room_id)
    await call.consumer.publish_later(call, _tell_typing(call, user, room_id))


def _tell_typing(call: Call[ChatCaller], user: Publisher, room_id: int) -> PublishedLater:
    async def tell() -> Reply:
        if call.consumer.typing.is_due(room_id, monotonic()):
            await aannounce_typing(call.node, call.tenant, user, room_id=room_id)
        return Reply("typing", {"room_id": room_id})

    return PublishedLater(typing_topic(room_id), 0, tell)


def _verb(operation: Operation) -> Verb:
    def reply(tenant: Tenant, user: Publisher, payload: Any) -> Any:
        # In the thread too: a long list takes a millisecond.
        return to_builtins(operation.answer(tenant, user, payload)[0])

    async def handle(call: Call, payload: Any) -> Reply:
        return Reply(operation.reply, await call.in_db(reply, call.tenant, _user(call), payload))

    handle.__doc__ = operation.description
    return Verb(
        operation.payload,
        handle,
        is_slow=True,
        scopes=operation.scopes,
        reply=operation.reply,
        returns=REPLIES[operation.reply],
    )


CHAT_VERBS: Mapping[str, Verb] = {
    **{name: _verb(operation) for name, operation in OPERATIONS.items()},
    "message.send": replace(_verb(OPERATIONS["message.send"]), handle=on_message_send, is_slow=False),
    "typing": Verb(InRoom, on_typing, scopes=WRITE, reply="typing", returns=REPLIES["typing"]),
}


def _user(call: Call) -> Publisher:
    identity = call.require_identity()
    return Publisher(identity.user_id, identity.username)


def _follows(call: Call, room_id: int) -> bool:
    """Return whether the connection subscribes to the room. Only members can; it ends with the membership."""
    subscriptions = call.connection.subscriptions
    topics = (room_topic(room_id), typing_topic(room_id))
    return any(topic in subscriptions and subscriptions[topic].is_live for topic in topics)
