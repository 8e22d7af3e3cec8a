"""Publications of the chat to its topics.

Services call these functions inside their transaction, and the announcement is published on commit. Functions
whose name begins with `a` are awaited on the loop, after the commit or without a transaction.

If publishing fails (the broker is away), committed data stays and the failure is logged. Messages are announced
later (`chat.unannounced`). If anything else is missing, clients notice the gap.
"""

from collections.abc import Iterable
from functools import partial
from typing import Any, Literal

from msgspec import convert, to_builtins

from chat import wire
from chat.messages.erasing import without_message
from chat.topics import PUBLIC_ROOMS_TOPIC, typing_topic, user_topic
from realtime import (
    ErrorCode,
    Node,
    Publisher,
    RequestError,
    Tenant,
    UserId,
    end_subscriptions,
    publish_soon,
    rewrite_history,
)

MemberChange = Literal["joined", "left", "changed"]


def announce_message(tenant: Tenant, message: wire.Message) -> None:
    """Publish a new message to its room."""
    publish_soon(**_new(message), tenant=tenant.slug)


async def aannounce_message(node: Node, tenant: str, message: wire.Message) -> None:
    """Publish a committed message to its room. A repeat is the same publication."""
    try:
        await node.announce(**_new(message), tenant=tenant)
    except RequestError as refused:
        # Another node announced the message before, with other data: it has changed since.
        if refused.code is not ErrorCode.CONFLICT:
            raise


def announce_change(tenant: Tenant, user: Publisher, message: wire.Message, event: str, **more: Any) -> None:
    """Publish a changed message to its room: `edited`, `deleted`, `reacted` or `pinned`."""
    data = {"event": event, "message": shared_payload(message), "rev": message.rev, **more}
    publish_soon(wire.room_topic(message.room_id), data, tenant=tenant.slug, publisher=user)


def erase(tenant: Tenant, *, room_id: int, seq: int) -> None:
    """Remove a deleted message's text from the history of the room's topic."""
    rewrite_history(wire.room_topic(room_id), partial(without_message, seq=seq), tenant=tenant.slug)


def announce_member(
    tenant: Tenant, user: Publisher, room: wire.Room, change: MemberChange, *, by: Publisher, **more: str
) -> None:
    """Tell the room what changed about a user, and the user's own screens about the room. `by` did it.

    `joined`, `left`, or `changed` with the new `role`. The subscriptions of a user who left end.
    """
    data = {"event": "member", "rev": room.last_rev, change: {**_user(user), **more}}
    publish_soon(wire.room_topic(room.id), data, tenant=tenant.slug, publisher=by)
    announce_own(tenant, user.id, room, by=by)
    if change == "left":
        end_hearing(tenant, room_id=room.id, user_ids=[user.id])


def announce_room(tenant: Tenant, user: Publisher, room: wire.Room) -> None:
    """Tell the room about its new name, topic line, kind or archiving."""
    data = {"event": "room", "rev": room.last_rev, "room": shared_payload(room)}
    publish_soon(wire.room_topic(room.id), data, tenant=tenant.slug, publisher=user)


def announce_public(tenant: Tenant, user: Publisher, room: wire.Room) -> None:
    """Tell all members of the tenant about a public room, or that it was archived or became private."""
    if room.is_public and not room.archived:
        data: dict[str, Any] = {"event": "room", "rev": room.last_rev, "room": shared_payload(room)}
    else:
        data = {"event": "gone", "room_id": room.id}
    publish_soon(PUBLIC_ROOMS_TOPIC, data, tenant=tenant.slug, publisher=user)


def announce_own(tenant: Tenant, user_id: UserId, room: wire.Room, *, by: Publisher) -> None:
    """Tell a user's own screens about a room, as this user sees it. `by` changed something in it."""
    data = {"event": "room", "room": to_builtins(room)}
    publish_soon(user_topic(user_id), data, tenant=tenant.slug, publisher=by)


def end_hearing(tenant: Tenant, *, room_id: int, user_ids: Iterable[UserId]) -> None:
    """End these users' subscriptions to a room."""
    for user_id in user_ids:
        for topic in (wire.room_topic(room_id), typing_topic(room_id)):
            end_subscriptions(topic, tenant=tenant.slug, user_id=user_id)


def announce_read(tenant: Tenant, user: Publisher, *, room_id: int, seq: int) -> None:
    """Tell the room and the user's own screens that a read mark moved."""
    told_room = {"event": "read", "user_id": user.id, "seq": seq}
    told_user = {"event": "read", "room_id": room_id, "seq": seq}
    publish_soon(wire.room_topic(room_id), told_room, tenant=tenant.slug, publisher=user)
    publish_soon(user_topic(user.id), told_user, tenant=tenant.slug, publisher=user)


async def aannounce_typing(node: Node, tenant: Tenant, user: Publisher, *, room_id: int) -> None:
    """Tell the room that a user is typing. Raises EngineUnavailableError; a later call may succeed."""
    data = {"event": "typing", "user": _user(user)}
    await node.announce(typing_topic(room_id), data, tenant=tenant.slug, publisher=user)


def shared_payload(seen: wire.Room | wire.Message) -> Any:
    """Return the payload of a room or a message for all readers, without the fields that depend on one."""
    kind = wire.SharedRoom if isinstance(seen, wire.Room) else wire.SharedMessage
    return to_builtins(convert(seen, kind, from_attributes=True))


def _new(message: wire.Message) -> dict[str, Any]:
    """Return the publication of a new message. By its key it is one publication, whoever announces it."""
    data = {"event": "message", "message": shared_payload(message), "rev": message.rev}
    author_id, username = message.author.id, message.author.username
    return {
        "topic": wire.room_topic(message.room_id),
        "data": data,
        "publisher": None if author_id is None else Publisher(author_id, username or ""),
        "idempotency_key": f"message-{message.id}",
    }


def _user(user: Publisher) -> dict[str, Any]:
    return {"id": user.id, "username": user.username}
