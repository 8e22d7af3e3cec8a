"""A broker that hangs: committed changes are answered, and no thread of the database waits."""

import asyncio
from typing import Any

import pytest

from realtime import api
from realtime.core.position import Position
from realtime.node.node import Node
from tests.chat.sockets import Chat, make_room, say

pytestmark = pytest.mark.django_db(transaction=True)


class Hanging:
    """The broker of a node, which hangs until `answers` is set."""

    def __init__(self, node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
        self.answers = asyncio.Event()
        publish, rewrite, send = node.hub.publish, node.rewrites.rewrite, node.control.tell

        async def publish_later(*arguments: Any) -> Position:
            await self.answers.wait()
            return await publish(*arguments)

        async def rewrite_later(*arguments: Any) -> None:
            await self.answers.wait()
            await rewrite(*arguments)

        async def tell_later(*arguments: Any) -> bool:
            await self.answers.wait()
            return await send(*arguments)

        monkeypatch.setattr(node.hub, "publish", publish_later)
        monkeypatch.setattr(node.rewrites, "rewrite", rewrite_later)
        monkeypatch.setattr(node.control, "tell", tell_later)
        # A thread that waits for the broker waits for longer than the test.
        monkeypatch.setattr(api, "PUBLISH_TIMEOUT_S", 1000.0)


async def test_every_change_is_answered_and_told_later_in_order(
    chat: Chat, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice, bob = await chat.client("alice"), await chat.client("bob")
    room_id = await make_room(alice)
    await say(alice, room_id)
    await say(alice, room_id, "to be deleted")
    await bob.get("subscribe", "subscribed", topic=f"user:{bob.user.pk}")
    hanging = Hanging(chat.node, monkeypatch)
    first = {"room_id": room_id, "seq": 1}
    await alice.get("room.invite", "room", room_id=room_id, user_ids=[bob.user.pk])
    await bob.get("subscribe", "subscribed", topic=f"room:{room_id}")
    await alice.get("message.edit", "message.edited", **first, text="changed")
    await alice.get("reaction.add", "message.reacted", **first, emoji="👍")
    await alice.get("reaction.remove", "message.reacted", **first, emoji="👍")
    await alice.get("pin.add", "message.pinned", **first)
    await alice.get("message.delete", "message.deleted", room_id=room_id, seq=2)
    await bob.get("read", "read", room_id=room_id, seq=0, is_unread=True)
    await bob.get("room.settings", "room", room_id=room_id, level="mentions")
    await alice.get("room.role", "room", room_id=room_id, user_id=bob.user.pk, role="moderator")
    await alice.get("room.update", "room", room_id=room_id, topic_line="news")
    await alice.get("room.direct", "room", user_ids=[bob.user.pk])
    assert len((await bob.get("room.list", "room.list"))["rooms"]) == 2
    hanging.answers.set()
    events = [(await bob.event(f"room:{room_id}"))["event"] for _ in range(9)]
    assert events == ["member", "edited", "reacted", "reacted", "pinned", "deleted", "read", "member", "room"]


async def test_a_lost_right_does_not_wait_for_the_broker(chat: Chat, monkeypatch: pytest.MonkeyPatch) -> None:
    alice, bob = await chat.client("alice"), await chat.client("bob")
    room_id = await make_room(alice)
    await bob.get("room.join", "room", room_id=room_id)
    await bob.get("subscribe", "subscribed", topic=f"room:{room_id}")
    Hanging(chat.node, monkeypatch)
    await alice.get("room.remove", "room", room_id=room_id, user_id=bob.user.pk)
    message = await bob.receive()
    assert (message["type"], message["payload"]["topic"]) == ("unsubscribed", f"room:{room_id}")
