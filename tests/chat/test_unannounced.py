"""Messages that were stored and not announced are announced: in order, once, without another row."""

import asyncio
import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from msgspec import structs

from chat import unannounced as module
from chat.announcements import aannounce_message
from chat.batches import MessageDraft
from chat.messages.reading import messages_between
from chat.messages.sending import messages_send
from chat.models import Message
from chat.realtime import unannounced_of
from chat.wire import room_topic
from realtime.core.history import Publisher
from realtime.node.node import Node
from realtime.topics.engine.ports import EngineUnavailableError
from tests.chat.sockets import Chat, Client, make_room

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
async def sweeping(chat: Chat, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SWEEP_S", 0.02)
    monkeypatch.setattr(module, "GRACE_S", 0.05)
    known = unannounced_of(chat.node)
    chat.node.spawn(known.run())
    # The first sweep begins SWEPT messages before the newest, of which there are none yet.
    async with asyncio.timeout(10):
        while known._swept_id is None:  # noqa: ASYNC110 no event tells of it
            await asyncio.sleep(0.01)


async def swept(chat: Chat) -> None:
    """Wait until the sweep has looked at every message, and announced what it found."""
    newest = await chat.in_db(lambda: Message.objects.latest("pk").pk)
    known = unannounced_of(chat.node)
    async with asyncio.timeout(10):
        while (known._swept_id or 0) < newest or known._due:  # noqa: ASYNC110 no event tells of it
            await asyncio.sleep(0.01)


async def left_behind(chat: Chat, client: Client, room_id: int, *texts: str) -> None:
    """Store messages without announcing them, like a process that is killed in between."""
    author = Publisher(client.user.pk, client.user.username)
    drafts = [
        MessageDraft(room_id, uuid.uuid4(), text, tenant=chat.tenants["acme"], author=author)
        for text in texts
    ]
    await chat.in_db(lambda: messages_send(drafts))


async def said(node: Node, room_id: int) -> list[tuple[int, str]]:
    newest = await node.newest(room_topic(room_id), tenant="acme", limit=1000)
    messages = [each["message"] for each in newest if each["event"] == "message"]
    return [(each["seq"], each["text"]) for each in messages]


async def hears(client: Client, room_id: int, count: int) -> list[int]:
    events: list[dict[str, Any]] = []
    while len(events) < count:
        event = await client.event(room_topic(room_id))
        events += [event] if event["event"] == "message" else []
    return [event["message"]["seq"] for event in events]


async def send(client: Client, room_id: int, text: str) -> None:
    await client.get(
        "message.send", "message.sent", room_id=room_id, text=text, client_msg_id=str(uuid.uuid4())
    )


async def test_the_sweep_announces_what_a_killed_process_left(
    chat: Chat, caplog: pytest.LogCaptureFixture
) -> None:
    alice = await chat.client("alice")
    room_id = await make_room(alice)
    await alice.get("subscribe", "subscribed", topic=room_topic(room_id))
    await send(alice, room_id, "one")
    await left_behind(chat, alice, room_id, "two", "three")
    assert await hears(alice, room_id, 3) == [1, 2, 3]
    assert f"2 message(s) of room {room_id} had not been announced" in caplog.text
    await send(alice, room_id, "four")
    await swept(chat)
    assert await said(chat.node, room_id) == [(1, "one"), (2, "two"), (3, "three"), (4, "four")]


async def test_what_comes_after_it_waits_for_it(
    chat: Chat, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "GRACE_S", 1000.0)
    alice = await chat.client("alice")
    room_id = await make_room(alice)
    await alice.get("subscribe", "subscribed", topic=room_topic(room_id))
    await left_behind(chat, alice, room_id, "one", "two")
    await send(alice, room_id, "three")
    assert await hears(alice, room_id, 3) == [1, 2, 3]
    # The node that stored them may be about to announce them: that is no failure.
    assert "had not been announced" not in caplog.text


async def test_what_another_node_announced_after_a_change_is_announced(chat: Chat) -> None:
    alice = await chat.client("alice")
    room_id = await make_room(alice)
    await left_behind(chat, alice, room_id, "one")
    [message] = await chat.in_db(lambda: messages_between(room_id, 0, 2, since=chat.node.started_at))
    for rev in (message.rev + 1, message.rev):
        await aannounce_message(chat.node, "acme", structs.replace(message, rev=rev))
    assert await said(chat.node, room_id) == [(1, "one")]


async def test_what_the_broker_did_not_take_is_announced_later(
    chat: Chat,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    alice = await chat.client("alice")
    room_id = await make_room(alice)
    await alice.get("subscribe", "subscribed", topic=room_topic(room_id))
    publish = chat.node.hub.publish

    async def away(*_: Any) -> Any:
        raise EngineUnavailableError("away")

    monkeypatch.setattr(chat.node.hub, "publish", away)
    await send(alice, room_id, "one")
    await send(alice, room_id, "two")
    monkeypatch.setattr(chat.node.hub, "publish", publish)
    assert await hears(alice, room_id, 2) == [1, 2]


async def test_a_room_that_cannot_be_read_leaves_the_sweep_to_others(
    chat: Chat, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice = await chat.client("alice")
    away, there = await make_room(alice, name="away"), await make_room(alice, name="there")
    await alice.get("subscribe", "subscribed", topic=room_topic(there))
    newest = chat.node.newest

    async def newest_of_one(topic: str, **options: Any) -> Any:
        if topic == room_topic(away):
            raise EngineUnavailableError("away")
        return await newest(topic, **options)

    monkeypatch.setattr(chat.node, "newest", newest_of_one)
    # Those of the room that cannot be read are more than one sweep reads.
    monkeypatch.setattr(module, "SWEPT", 2)
    await left_behind(chat, alice, away, "one", "two", "three")
    await left_behind(chat, alice, there, "one")
    assert await hears(alice, there, 1) == [1]


async def test_every_failure_of_a_sweep_is_logged(
    chat: Chat, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    alice = await chat.client("alice")
    away, broken = await make_room(alice, name="away"), await make_room(alice, name="broken")
    errors = {
        room_topic(away): EngineUnavailableError("away"),
        room_topic(broken): ZeroDivisionError("a bug"),
    }
    for topic in errors:
        await alice.get("subscribe", "subscribed", topic=topic)
    newest, together = chat.node.newest, asyncio.Barrier(2)

    async def newest_later(topic: str, **options: Any) -> Any:
        if error := errors.pop(topic, None):
            await together.wait()
            raise error
        return await newest(topic, **options)

    monkeypatch.setattr(chat.node, "newest", newest_later)
    for room_id in (away, broken):
        await left_behind(chat, alice, room_id, "one")
    for room_id in (away, broken):
        assert await hears(alice, room_id, 1) == [1]
    assert "Messages cannot be announced now: away" in caplog.text
    assert "ZeroDivisionError: a bug" in caplog.text


async def test_a_room_that_hangs_leaves_the_sweep_to_others(
    chat: Chat, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice = await chat.client("alice")
    # Those of the room that hangs are more than one sweep reads.
    monkeypatch.setattr(module, "SWEPT", 2)
    hangs, there = await make_room(alice, name="hangs"), await make_room(alice, name="there")
    for room_id in (hangs, there):
        await alice.get("subscribe", "subscribed", topic=room_topic(room_id))
    newest, answers = chat.node.newest, asyncio.Event()

    async def newest_later(topic: str, **options: Any) -> Any:
        if topic == room_topic(hangs) and not answers.is_set():
            await answers.wait()
            raise EngineUnavailableError("away")
        return await newest(topic, **options)

    monkeypatch.setattr(chat.node, "newest", newest_later)
    await left_behind(chat, alice, hangs, "one", "two", "three")
    await left_behind(chat, alice, there, "one")
    assert await hears(alice, there, 1) == [1]
    await left_behind(chat, alice, there, "two")
    assert await hears(alice, there, 1) == [2]
    answers.set()
    assert await hears(alice, hangs, 3) == [1, 2, 3]


async def test_nothing_of_before_the_process_is_announced_in_memory(chat: Chat) -> None:
    alice = await chat.client("alice")
    room_id = await make_room(alice)
    await left_behind(chat, alice, room_id, "one")
    before = timezone.now() - timedelta(hours=1)
    await chat.in_db(lambda: Message.objects.update(sent_at=before))
    await send(alice, room_id, "two")
    await swept(chat)
    assert await said(chat.node, room_id) == [(2, "two")]
