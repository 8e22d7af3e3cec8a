"""The chat's endpoint: the consumer, the hub and the database, without a server in front."""

import asyncio
import json
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import OperationalError, connection
from django.db.backends.base.base import BaseDatabaseWrapper
from pytest_django import Settings

from chat.files.services import file_store
from chat.messages import composing
from chat.models import Message, RoomMembership
from chat.typing import LOOKUPS_BURST, LOOKUPS_PER_S
from realtime.core.history import Publisher
from realtime.core.topics import TopicKey
from realtime.node import rewrites
from tests.chat.sockets import MISSING_ROOM, Chat, make_room, say

pytestmark = pytest.mark.django_db(transaction=True)

MESSAGE_KEYS = {
    *("id", "room_id", "seq", "rev", "author", "text", "html", "sent_at", "edited_at", "deleted"),
    *("reply_to", "reactions", "files", "mentions", "client_msg_id"),
}


async def test_two_people_chat(chat: Chat) -> None:
    alice, bob = await chat.client("alice"), await chat.client("bob")
    room_id = await make_room(alice)
    listed = (await bob.get("room.list", "room.list"))["rooms"]
    assert listed == [
        {
            "id": room_id,
            "name": "lounge",
            "topic": f"room:{room_id}",
            "kind": "public",
            "is_public": True,
            "topic_line": "",
            "archived": False,
            "is_member": False,
            "member_count": 1,
            "last_seq": 0,
            "last_rev": 1,
            "last_message_at": None,
            "read_seq": 0,
            "unread": 0,
            "mentions": 0,
            "level": "all",
            "is_favourite": False,
            "role": None,
        }
    ]
    await alice.get("subscribe", "subscribed", topic=f"room:{room_id}")
    await alice.get("subscribe", "subscribed", topic=f"typing:{room_id}")
    assert (await bob.get("room.join", "room", room_id=room_id))["room"]["is_member"] is True
    joined = {"event": "member", "rev": 2, "joined": {"id": bob.user.pk, "username": "bob"}}
    assert await alice.event(f"room:{room_id}") == joined
    assert await bob.get("typing", "typing", room_id=room_id) == {"room_id": room_id}
    typing = {"event": "typing", "user": {"id": bob.user.pk, "username": "bob"}}
    assert await alice.event(f"typing:{room_id}") == typing
    message = await say(bob, room_id, " hi 👋 ")
    assert message.keys() == MESSAGE_KEYS
    assert (message["text"], message["seq"], message["author"]["username"]) == ("hi 👋", 1, "bob")
    assert await alice.event(f"room:{room_id}") == {"event": "message", "message": message, "rev": 3}
    page = await alice.get("message.list", "message.list", room_id=room_id)
    ends = {"has_more": False, "has_older": False, "has_newer": False}
    assert page == {"room_id": room_id, "messages": [message], "last_rev": 3, **ends}


async def test_ones_own_screens_are_told_of_rooms_and_read_marks(chat: Chat) -> None:
    first, second = await chat.client("alice"), await chat.client("alice")
    mine = f"user:{first.user.pk}"
    await second.get("subscribe", "subscribed", topic=mine)
    room_id = await make_room(first)
    assert (await second.event(mine))["room"]["id"] == room_id
    bob = await chat.client("bob")
    await bob.get("room.join", "room", room_id=room_id)
    await say(bob, room_id)
    assert (await first.get("room.list", "room.list"))["rooms"][0]["unread"] == 1
    assert await first.get("read", "read", room_id=room_id, seq=9) == {"room_id": room_id, "seq": 1}
    assert await second.event(mine) == {"event": "read", "room_id": room_id, "seq": 1}
    assert (await first.get("room.list", "room.list"))["rooms"][0]["unread"] == 0


async def test_members_are_listed_with_their_status(chat: Chat) -> None:
    alice = await chat.client("alice")
    room_id = await make_room(alice)
    assert await alice.get("member.list", "member.list", room_id=room_id) == {
        "room_id": room_id,
        "members": [
            {
                "id": alice.user.pk,
                "username": "alice",
                "name": "alice",
                "status": "online",
                "status_emoji": "",
                "role": "owner",
            }
        ],
    }


async def test_here_mentions_those_who_are_connected_at_that_moment(
    chat: Chat, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice, bob, admin = [await chat.client(name) for name in ("alice", "bob", "admin")]
    room_id = await make_room(alice)
    for client in (bob, admin):
        await client.get("room.join", "room", room_id=room_id)
    for client in (alice, bob):
        await client.get("subscribe", "subscribed", topic=f"room:{room_id}")
    # Present somewhere else, or in the room of this number of another tenant, is not here.
    await admin.get("subscribe", "subscribed", topic=f"user:{admin.user.pk}")

    async def edit(seq: int, text: str) -> list[int]:
        edited = await alice.get("message.edit", "message.edited", room_id=room_id, seq=seq, text=text)
        mentions: list[int] = edited["message"]["mentions"]
        return mentions

    first = await say(alice, room_id, "@HERE: lunch")
    assert first["mentions"] == [bob.user.pk]
    assert 'class="mention">@HERE<' in first["html"]
    everyone = sorted((bob.user.pk, admin.user.pk))
    assert (await say(alice, room_id, "@room lunch"))["mentions"] == everyone
    assert (await say(alice, room_id, "`@here` no lunch"))["mentions"] == []
    assert (await say(bob, room_id, "@here @admin me too"))["mentions"] == sorted(
        (alice.user.pk, admin.user.pk)
    )
    listed = (await admin.get("room.list", "room.list"))["rooms"]
    assert [room["mentions"] for room in listed] == [2]
    await admin.get("subscribe", "subscribed", topic=f"room:{room_id}")
    assert await edit(1, "@here lunch at one") == [bob.user.pk]
    assert await edit(3, "@here no lunch") == everyone
    await bob.get("unsubscribe", "unsubscribed", topic=f"room:{room_id}")
    assert (await say(alice, room_id, "@here?"))["mentions"] == [admin.user.pk]
    monkeypatch.setattr(composing, "ROOM_MENTIONS_MAX", 1)
    many = await say(alice, room_id, "@here!")
    assert (many["mentions"], many["html"]) == ([], "<p>@here!</p>\n")
    large = await say(alice, room_id, "@room *and* @bob")
    assert [large["mentions"], large["html"].count("mention"), "@room" in large["html"]] == [
        [bob.user.pk],
        1,
        True,
    ]
    assert await edit(large["seq"], "@room again") == []


async def test_many_messages_sent_at_once_are_stored_and_delivered_in_order(chat: Chat) -> None:
    alice, bob = await chat.client("alice"), await chat.client("bob")
    room_id = await make_room(alice)
    await bob.get("room.join", "room", room_id=room_id)
    await bob.get("subscribe", "subscribed", topic=f"room:{room_id}")
    texts = [f"{number}" for number in range(40)]
    for client in (alice, bob):
        for text in texts:
            await client.send("message.send", room_id=room_id, text=text, client_msg_id=str(uuid.uuid4()))
    heard = [(await bob.event(f"room:{room_id}"))["message"] for _ in range(80)]
    assert [message["seq"] for message in heard] == list(range(1, 81))
    assert [message["text"] for message in heard if message["author"]["username"] == "alice"] == texts
    assert [message["text"] for message in heard if message["author"]["username"] == "bob"] == texts


async def test_a_lost_reply_is_asked_for_again(chat: Chat) -> None:
    alice, other = await chat.client("alice"), await chat.client("alice")
    room_id = await make_room(alice)
    again = {"room_id": room_id, "text": "once", "client_msg_id": str(uuid.uuid4())}
    first = await alice.get("message.send", "message.sent", **again)
    assert await other.get("message.send", "message.sent", **again) == first
    assert (await other.refused("message.send", **again | {"text": "twice"}))["code"] == "conflict"
    assert await chat.in_db(Message.objects.count) == 1


async def test_nobody_is_told_of_a_message_that_did_not_commit(
    chat: Chat, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    alice = await chat.client("alice")
    room_id = await make_room(alice)
    await alice.get("subscribe", "subscribed", topic=f"room:{room_id}")
    again = {"room_id": room_id, "text": "once", "client_msg_id": str(uuid.uuid4())}
    with monkeypatch.context() as patch:
        patch.setattr(BaseDatabaseWrapper, "commit", _fail)
        refused = await alice.refused("message.send", **again)
    assert (refused["code"], refused["retryable"]) == ("timeout", True)
    assert caplog.text.count("the disk is full") == 1
    sent = await alice.get("message.send", "message.sent", **again)
    assert sent["message"]["seq"] == 1
    assert (await alice.event(f"room:{room_id}"))["message"] == sent["message"]


async def test_messages_of_many_sockets_reach_everybody_in_order(chat: Chat) -> None:
    alice, bob = await chat.client("alice"), await chat.client("bob")
    rooms = [await make_room(alice, name=f"room {n}") for n in range(3)]
    for room_id in rooms:
        await bob.get("room.join", "room", room_id=room_id)
        await bob.get("subscribe", "subscribed", topic=f"room:{room_id}")
    senders = [await chat.client("alice") for _ in range(10)]
    for number in range(12):
        for sender in senders:
            name = {"text": f"{number}", "client_msg_id": str(uuid.uuid4())}
            await sender.send("message.send", room_id=rooms[number % 3], **name)
    for room_id in rooms:
        heard = [(await bob.event(f"room:{room_id}"))["message"]["seq"] for _ in range(40)]
        assert heard == list(range(1, 41))


async def test_a_busy_room_leaves_the_database_to_others(chat: Chat) -> None:
    alice, bob = await chat.client("alice"), await chat.client("bob")
    room_id = await make_room(alice)
    for _ in range(50):
        await alice.send("message.send", room_id=room_id, text="x", client_msg_id=str(uuid.uuid4()))
    async with asyncio.timeout(2):
        await bob.get("room.list", "room.list")


@pytest.mark.parametrize("prefix", ["room", "typing"])
async def test_typing_in_a_room_that_one_follows_asks_no_database(
    chat: Chat, monkeypatch: pytest.MonkeyPatch, prefix: str
) -> None:
    alice = await chat.client("alice")
    room_id = await make_room(alice)
    await alice.get("subscribe", "subscribed", topic=f"{prefix}:{room_id}")
    asked = chat.count_queries(monkeypatch)
    for _ in range(20):
        assert await alice.get("typing", "typing", room_id=room_id) == {"room_id": room_id}
    # Those of the sweeps are in the count as well; none of them reads rooms.
    assert [sql for sql in asked if "chat_" in sql] == []


async def test_typing_that_the_broker_does_not_take_holds_up_nothing_else(
    chat: Chat, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice = await chat.client("alice")
    room_id = await make_room(alice)
    goes_on = asyncio.Event()

    async def hangs(*_: Any, **__: Any) -> None:
        await goes_on.wait()

    monkeypatch.setattr("chat.verbs.aannounce_typing", hangs)
    request_id = await alice.send("typing", room_id=room_id)
    assert (await alice.ask("ping"))["type"] == "pong"
    assert alice.pushes == []
    goes_on.set()
    assert (await alice.receive())["id"] == request_id


async def test_typing_is_announced_once_in_a_while_and_repeats_are_acknowledged(chat: Chat) -> None:
    alice, bob, elsewhere = [await chat.client(name) for name in ("alice", "bob", "bob")]
    room_id, other = await make_room(alice), await make_room(alice, name="other")
    for client in (bob, elsewhere):
        for each in (room_id, other):
            await client.get("room.join", "room", room_id=each)
    for each in (room_id, other):
        await alice.get("subscribe", "subscribed", topic=f"typing:{each}")
    for client in (bob, bob, bob, elsewhere, bob):
        for each in (room_id, other):
            assert await client.get("typing", "typing", room_id=each) == {"room_id": each}
    await alice.get("ping", "pong")
    heard = [push["payload"]["topic"] for push in alice.pushes if push["type"] == "publication"]
    # Each connection once in each room.
    assert sorted(heard) == sorted([f"typing:{room_id}", f"typing:{other}"] * 2)


async def test_typing_in_rooms_that_one_does_not_follow_is_bounded(
    chat: Chat, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice, bob = await chat.client("alice"), await chat.client("bob")
    room_id = await make_room(alice)
    asked = chat.count_queries(monkeypatch)
    answers = [await bob.refused("typing", room_id=MISSING_ROOM - number) for number in range(60)]
    codes = [answer["code"] for answer in answers]
    assert codes[:LOOKUPS_BURST] == ["not_found"] * LOOKUPS_BURST
    assert codes[-1] == "rate_limited"
    assert answers[-1]["retryable"] is True
    assert 0 < answers[-1]["retry_after_ms"] <= 1000 / LOOKUPS_PER_S
    assert sum("chat_roommembership" in sql for sql in asked) <= 2 * (LOOKUPS_BURST + 10)
    # A member is acknowledged all the same, and another connection has a budget of its own.
    for _ in range(60):
        await alice.get("typing", "typing", room_id=room_id)


async def test_who_has_left_is_typing_no_more(chat: Chat) -> None:
    alice, bob, elsewhere = [await chat.client(name) for name in ("alice", "bob", "bob")]
    room_id = await make_room(alice, is_public=False)
    await chat.in_db(RoomMembership.objects.create, room_id=room_id, user_id=bob.user.pk)
    await bob.get("subscribe", "subscribed", topic=f"room:{room_id}")
    await bob.get("typing", "typing", room_id=room_id)
    await elsewhere.get("room.leave", "room.left", room_id=room_id)
    missing = await bob.refused("typing", room_id=MISSING_ROOM)
    assert await bob.refused("typing", room_id=room_id) == missing


@pytest.mark.parametrize(
    ("verb", "payload", "field"),
    [
        ("room.create", {}, "payload.name"),
        ("room.create", {"name": "  "}, "payload.name"),
        ("room.create", {"name": "a\0b"}, "payload.name"),
        ("room.create", {"name": "a", "is_public": 1}, "payload.is_public"),
        ("room.join", {"room_id": "1"}, "payload.room_id"),
        ("room.join", {"room_id": 2**63}, "payload.room_id"),
        ("message.list", {"room_id": 1, "limit": 101}, "payload.limit"),
        ("message.list", {"room_id": 1, "limit": 0}, "payload.limit"),
        ("message.list", {"room_id": 1, "before_seq": -1}, "payload.before_seq"),
        ("message.send", {"room_id": 1, "text": "hi"}, "payload.client_msg_id"),
        ("message.send", {"room_id": 1, "text": "hi", "client_msg_id": "x"}, "payload.client_msg_id"),
        ("message.send", {"room_id": 1, "text": "", "client_msg_id": str(uuid.UUID(int=1))}, "payload.text"),
        ("message.send", {"room_id": 1, "text": " ", "client_msg_id": str(uuid.UUID(int=1))}, "payload.text"),
        (
            "message.send",
            {"room_id": 1, "text": "x" * 4001, "client_msg_id": str(uuid.UUID(int=1))},
            "payload.text",
        ),
        ("read", {"room_id": 1}, "payload.seq"),
    ],
)
async def test_a_wrong_payload_names_its_field(
    chat: Chat, verb: str, payload: dict[str, Any], field: str
) -> None:
    refused = await (await chat.client("alice")).refused(verb, **payload)
    assert (refused["code"], refused["details"]) == ("invalid_message", {"field": field})


def _fail(self: BaseDatabaseWrapper) -> None:
    raise OperationalError("the disk is full")


async def test_a_deleted_message_is_no_longer_in_the_history_of_its_topic(chat: Chat) -> None:
    alice, bob = await chat.client("alice"), await chat.client("bob")
    room_id = await make_room(alice)
    topic = f"room:{room_id}"
    await bob.get("room.join", "room", room_id=room_id)
    begun = await bob.get("subscribe", "subscribed", topic=topic)
    await say(alice, room_id, "a secret")
    reply = {"text": "what?", "client_msg_id": str(uuid.uuid4()), "reply_to": 1}
    await bob.get("message.send", "message.sent", room_id=room_id, **reply)
    await alice.get("message.edit", "message.edited", room_id=room_id, seq=1, text="another secret")
    await bob.get("reaction.add", "message.reacted", room_id=room_id, seq=1, emoji="👍")
    deleted = await alice.get("message.delete", "message.deleted", room_id=room_id, seq=1)
    assert (deleted["message"]["text"], deleted["message"]["deleted"]) == ("", True)
    # In the hub's tail, in the history, and in what another screen recovers.
    screen = await chat.client("bob")
    recover = {"epoch": begun["epoch"], "offset": begun["offset"]}
    recovered = await screen.get("subscribe", "subscribed", topic=topic, recover=recover)
    history = await screen.get("history", "history", topic=topic)
    events = ["message", "message", "edited", "reacted", "deleted"]
    for page in (recovered, history):
        found = [each["data"] for each in page["publications"]][-5:]
        assert [each["event"] for each in found] == events
        assert all(each["message"]["deleted"] for each in found if each["message"]["seq"] == 1)
        assert found[1]["message"]["reply_to"]["text"] == ""
        assert found[1]["message"]["text"] == "what?"
        assert "secret" not in json.dumps(page)
    assert recovered["recovered"] is True


async def test_the_words_of_a_deleted_message_are_in_no_table_and_no_file(
    chat: Chat, settings: Settings, tmp_path: Path
) -> None:
    storage = {"BACKEND": "django.core.files.storage.FileSystemStorage", "OPTIONS": {"location": tmp_path}}
    settings.STORAGES = settings.STORAGES | {"chat": storage}
    alice, bob = await chat.client("alice"), await chat.client("bob")
    room_id = await make_room(alice)
    await alice.get("room.invite", "room", room_id=room_id, user_ids=[bob.user.pk])
    words = ("zq7first", "zq7second")
    upload = SimpleUploadedFile(f"{words[0]}.txt", words[1].encode())
    author = Publisher(alice.user.pk, "alice")
    file = await chat.in_db(file_store, tenant=chat.tenants["acme"], user=author, uploaded=upload)
    about = {"room_id": room_id, "seq": 1}
    name = str(uuid.uuid4())
    for text in (f"{words[0]} @bob", "@room"):
        sending = {"text": text, "client_msg_id": name, "file_ids": [file.id], "reply_to": None}
        await alice.ask("message.send", room_id=room_id, **sending)
    await alice.get("message.edit", "message.edited", text=f"{words[1]} @bob", **about)
    await bob.get("pin.add", "message.pinned", **about)
    await bob.get("message.send", "message.sent", room_id=room_id, text="?", client_msg_id=name, reply_to=1)
    assert len((await bob.get("search", "search", query=words[1]))["messages"]) == 1
    assert await chat.in_db(tables_with, word=words[1].encode())
    await alice.get("message.delete", "message.deleted", reason="by mistake", **about)
    assert (await bob.get("search", "search", query=words[1]))["messages"] == []
    for word in words:
        assert await chat.in_db(tables_with, word=word.encode()) == []
    assert await chat.in_db(lambda: [path for path in tmp_path.rglob("*") if path.is_file()]) == []


def tables_with(word: bytes) -> list[str]:
    """The tables in which some value has this word, those that Django does not know of among them."""
    with connection.cursor() as cursor:
        found = []
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)}")
            values = [value for row in cursor.fetchall() for value in row]
            if any(word in (value if isinstance(value, bytes) else str(value).encode()) for value in values):
                found.append(table)
    return found


async def test_what_was_under_way_is_taken_out_of_the_history_a_little_later(
    chat: Chat, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rewrites, "REWRITE_AGAIN_S", 0.02)
    node = chat.node

    def without(word: bytes) -> Callable[[bytes], bytes | None]:
        return lambda data: b'"gone"' if word in data else None

    for word in (b"one", b"two"):
        await node.rewrite_history("acme", "news", without(word))
    for text in ("one", "two", "three"):
        await node.announce("news", text, tenant="acme")

    async def texts() -> list[str]:
        page = await node.history.latest(TopicKey("acme", "news"), 10, 0)
        return [json.loads(bytes(each.data)) for each in page.publications or []]

    async with asyncio.timeout(5):
        while await texts() != ["gone", "gone", "three"]:  # noqa: ASYNC110 no event tells of it
            await asyncio.sleep(0.01)
        while not node.rewrites.is_idle:  # noqa: ASYNC110 no event tells of it
            await asyncio.sleep(0.01)
