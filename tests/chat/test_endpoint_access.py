"""Access at the chat's endpoint: scopes, and rooms and topics that the user is not in."""

import uuid
from typing import Any

import pytest

from chat.models import RoomMembership
from chat.operations import OPERATIONS, Operation
from tests.chat.sockets import MISSING_ROOM, SCOPES, Chat, make_room, say

pytestmark = pytest.mark.django_db(transaction=True)


def verbs_about(room_id: int) -> dict[str, dict[str, Any]]:
    """Every verb that names a room."""
    return {
        "room.join": {"room_id": room_id},
        "room.leave": {"room_id": room_id},
        "message.list": {"room_id": room_id},
        "message.send": {"room_id": room_id, "text": "hi", "client_msg_id": str(uuid.uuid4())},
        "typing": {"room_id": room_id},
        "read": {"room_id": room_id, "seq": 1},
        "member.list": {"room_id": room_id},
    }


def topics_about(room_id: int) -> list[str]:
    return [f"room:{room_id}", f"typing:{room_id}"]


def payload_of(operation: Operation, room_id: int, user_id: int) -> dict[str, Any]:
    """A payload that is right but for the room."""
    values: dict[str, Any] = {
        "room_id": room_id,
        "user_ids": [user_id],
        "user_id": user_id,
        "role": "guest",
        "after_rev": 0,
        "seq": 1,
        "text": "hi",
        "emoji": "👍",
        "query": "hi",
        "client_msg_id": str(uuid.uuid4()),
    }
    return {name: values[name] for name in operation.payload.__struct_fields__ if name in values}


async def test_who_leaves_hears_no_more(chat: Chat) -> None:
    alice, bob, elsewhere = [await chat.client(name) for name in ("alice", "bob", "bob")]
    room_id = await make_room(alice)
    await bob.get("room.join", "room", room_id=room_id)
    for client in (bob, elsewhere):
        await client.get("subscribe", "subscribed", topic=f"room:{room_id}")
    assert await bob.get("room.leave", "room.left", room_id=room_id) == {"room_id": room_id}
    for client in (bob, elsewhere):
        while not any(push["type"] == "unsubscribed" for push in client.pushes):
            client.pushes.append(await client.receive())
        client.pushes.clear()
    await say(alice, room_id, "without bob")
    for client in (bob, elsewhere):
        assert (await client.refused("subscribe", topic=f"room:{room_id}"))["code"] == "permission_denied"
        assert client.pushes == []


@pytest.mark.parametrize("is_public", [True, False])
async def test_who_is_removed_gets_nothing_by_an_old_position(chat: Chat, *, is_public: bool) -> None:
    alice, bob = await chat.client("alice"), await chat.client("bob")
    room_id = await make_room(alice, is_public=is_public)
    topics = topics_about(room_id)
    await alice.get("room.invite", "room", room_id=room_id, user_ids=[bob.user.pk])
    known = {topic: await bob.get("subscribe", "subscribed", topic=topic) for topic in topics}
    recover = {topic: {"epoch": each["epoch"], "offset": each["offset"]} for topic, each in known.items()}
    await say(alice, room_id, "before")
    assert (await bob.event(topics[0]))["message"]["text"] == "before"
    await alice.get("room.remove", "room", room_id=room_id, user_id=bob.user.pk)
    while sum(push["type"] == "unsubscribed" for push in bob.pushes) < len(topics):
        bob.pushes.append(await bob.receive())
    bob.pushes.clear()
    await say(alice, room_id, "after")
    refused = "permission_denied" if is_public else "not_found"
    for client in (bob, await chat.client("bob")):
        for topic in topics:
            for verb, more in (("subscribe", {"recover": recover[topic]}), ("history", {}), ("presence", {})):
                assert (await client.refused(verb, topic=topic, **more))["code"] == refused
        many = {"topics": [{"topic": topic, "recover": recover[topic]} for topic in topics]}
        answers = (await client.get("subscribe", "subscribed", **many))["topics"]
        assert [each["error"]["code"] for each in answers] == [refused, refused]
        for verb, payload in verbs_about(room_id).items():
            if verb not in {"room.join", "room.leave"}:
                assert (await client.refused(verb, **payload))["code"] == refused, verb
        found = (await client.get("search", "search", query="before"))["messages"]
        assert (found, client.pushes) == ([], [])


@pytest.mark.parametrize("name", ["carol", "admin"])
@pytest.mark.parametrize("is_public", [True, False])
async def test_a_room_of_another_tenant_is_answered_as_one_that_does_not_exist(
    chat: Chat, name: str, *, is_public: bool
) -> None:
    alice, stranger = await chat.client("alice"), await chat.client(name, "globex")
    room_id = await make_room(alice, is_public=is_public)
    # Being in the room, by way of the other tenant, opens nothing on this one.
    await chat.in_db(RoomMembership.objects.create, room_id=room_id, user_id=stranger.user.pk)
    assert (await stranger.get("room.list", "room.list"))["rooms"] == []
    for verb, payload in verbs_about(room_id).items():
        missing = await stranger.refused(verb, **payload | {"room_id": MISSING_ROOM})
        assert missing["code"] == "not_found"
        assert await stranger.refused(verb, **payload) == missing, verb
        assert (await alice.ask(verb, **payload))["type"] != "error", verb
        if verb == "room.leave":
            await chat.in_db(RoomMembership.objects.create, room_id=room_id, user_id=alice.user.pk)


async def test_topics_of_another_tenant_are_answered_as_rooms_that_do_not_exist(chat: Chat) -> None:
    alice, admin = await chat.client("alice"), await chat.client("admin", "globex")
    room_id = await make_room(alice)
    await (await chat.client("admin")).get("room.join", "room", room_id=room_id)
    for verb in ("subscribe", "history", "presence"):
        for topic, missing in zip(topics_about(room_id), topics_about(10**17), strict=True):
            refused = await admin.refused(verb, topic=topic)
            assert refused["code"] == "not_found"
            assert refused == await admin.refused(verb, topic=missing)
            assert (await alice.ask(verb, topic=topic))["type"] != "error"


async def test_a_private_room_is_answered_as_one_that_does_not_exist(chat: Chat) -> None:
    alice, bob = await chat.client("alice"), await chat.client("bob")
    room_id = await make_room(alice, is_public=False)
    for verb, payload in verbs_about(room_id).items():
        missing = await bob.refused(verb, **payload | {"room_id": MISSING_ROOM})
        assert await bob.refused(verb, **payload) == missing, verb
    for topic in topics_about(room_id):
        assert (await bob.refused("subscribe", topic=topic))["code"] == "not_found"
        assert (await alice.ask("subscribe", topic=topic))["type"] == "subscribed"


async def test_nobody_publishes_past_the_chat(chat: Chat) -> None:
    alice = await chat.client("alice", scopes=SCOPES | {"pubsub:publish"})
    room_id = await make_room(alice)
    for topic in [*topics_about(room_id), f"user:{alice.user.pk}"]:
        assert (await alice.refused("publish", topic=topic, data={}))["code"] == "permission_denied"


async def test_every_verb_wants_its_scope(chat: Chat) -> None:
    alice = await chat.client("alice")
    room_id = await make_room(alice)
    reader = await chat.client("alice", scopes=frozenset({"chat:read"}))
    writer = await chat.client("alice", scopes=frozenset({"chat:write"}))
    writing = {"room.join", "room.leave", "message.send", "typing"}
    for verb, payload in verbs_about(room_id).items():
        allowed, denied = (writer, reader) if verb in writing else (reader, writer)
        assert (await denied.refused(verb, **payload))["code"] == "permission_denied", verb
        assert (await allowed.ask(verb, **payload))["type"] != "error", verb
        if verb == "room.leave":
            await writer.get("room.join", "room", room_id=room_id)
    assert (await reader.refused("room.create", name="new"))["code"] == "permission_denied"
    assert (await writer.refused("room.list"))["code"] == "permission_denied"
    assert (await writer.refused("subscribe", topic=f"room:{room_id}"))["code"] == "permission_denied"


async def test_no_verb_tells_a_room_of_others_from_one_that_does_not_exist(chat: Chat) -> None:
    alice, bob, carol = [await chat.client(*who) for who in (("alice",), ("bob",), ("carol", "globex"))]
    admin = await chat.client("admin", "globex")
    public, private = await make_room(alice), await make_room(alice, is_public=False, name="private")
    for room_id in (public, private):
        await say(alice, room_id)
        await chat.in_db(RoomMembership.objects.create, room_id=room_id, user_id=admin.user.pk)
    for verb, operation in OPERATIONS.items():
        if "room_id" not in operation.payload.__struct_fields__:
            continue
        payload = payload_of(operation, MISSING_ROOM, alice.user.pk)
        for client, rooms in ((carol, (public, private)), (admin, (public, private)), (bob, (private,))):
            missing = await client.refused(verb, **payload)
            assert missing["code"] == "not_found", verb
            for room_id in rooms:
                assert await client.refused(verb, **payload | {"room_id": room_id}) == missing, verb
