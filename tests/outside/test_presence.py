"""Who is on a topic: the verb, the option of `subscribe`, the pushes."""

from uuid import uuid4

import pytest

from tests.outside.talk import Message, Talk, assert_error
from tests.outside.visitor import Visitor

PATH = "/ws/pubsub/"


@pytest.fixture
def topic() -> str:
    """A topic nobody else uses."""
    return f"topic-{uuid4().hex}"


def names(users: list[Message]) -> list[str]:
    return sorted(user["username"] for user in users)


async def test_presence_counts_users_and_their_connections(acme: Visitor, topic: str) -> None:
    async with (
        acme.open_json(PATH, "alice") as alice,
        acme.open_json(PATH, "alice") as alice_again,
        acme.open_json(PATH, "bob") as bob,
    ):
        for talk in (alice, alice_again, bob):
            await talk.ask("subscribe", {"topic": topic})
        payload = await alice.ask("presence", {"topic": topic})
        assert payload["topic"] == topic
        users = {user["username"]: user for user in payload["users"]}
        assert users["alice"] == alice.welcome["user"] | {"connections": 2}
        assert users["bob"] == bob.welcome["user"] | {"connections": 1}
        assert set(users) == {"alice", "bob"}


async def test_presence_of_an_empty_topic(acme: Visitor, topic: str) -> None:
    async with acme.open_json(PATH, "alice") as talk:
        payload = await talk.ask("presence", {"topic": topic})
        assert payload == {"topic": topic, "users": [], "count": 0}


async def test_count_tells_of_strangers_too(acme: Visitor, topic: str) -> None:
    async with acme.open_json(PATH, "alice") as alice, acme.open_json(PATH) as stranger:
        await alice.ask("subscribe", {"topic": topic})
        await stranger.ask("subscribe", {"topic": topic})
        payload = await alice.ask("presence", {"topic": topic})
        assert names(payload["users"]) == ["alice"]
        assert payload["count"] in {1, 2}


async def test_subscribing_with_presence_gives_it_along(acme: Visitor, topic: str) -> None:
    async with acme.open_json(PATH, "alice") as alice, acme.open_json(PATH, "bob") as bob:
        await alice.ask("subscribe", {"topic": topic})
        payload = await bob.ask("subscribe", {"topic": topic, "presence": True})
        assert names(payload["presence"]["users"]) == ["alice", "bob"]
        assert payload["presence"]["count"] == 2


async def test_joins_and_leaves_are_pushed(acme: Visitor, topic: str) -> None:
    async with acme.open_json(PATH, "alice") as alice:
        await alice.ask("subscribe", {"topic": topic, "presence": True})
        async with acme.open_json(PATH, "bob") as bob:
            await bob.ask("subscribe", {"topic": topic})
            assert await change(alice, topic, "joined", "bob")
            await bob.ask("unsubscribe", {"topic": topic})
            assert await change(alice, topic, "left", "bob")
            await bob.ask("subscribe", {"topic": topic})
            assert await change(alice, topic, "joined", "bob")
        assert await change(alice, topic, "left", "bob")
        assert names((await alice.ask("presence", {"topic": topic}))["users"]) == ["alice"]


async def test_a_second_connection_is_no_second_join(acme: Visitor, topic: str) -> None:
    async with acme.open_json(PATH, "alice") as alice, acme.open_json(PATH, "bob") as bob:
        await alice.ask("subscribe", {"topic": topic, "presence": True})
        await bob.ask("subscribe", {"topic": topic})
        assert await change(alice, topic, "joined", "bob")
        async with acme.open_json(PATH, "bob") as again:
            await again.ask("subscribe", {"topic": topic})
        async with acme.open_json(PATH, "admin") as admin:
            await admin.ask("subscribe", {"topic": topic})
            push = await alice.push("presence")
            assert names(push["joined"]) == ["admin"], push
            assert push["left"] == [], push


async def test_who_did_not_ask_gets_no_presence(acme: Visitor, topic: str) -> None:
    async with acme.open_json(PATH, "alice") as alice, acme.open_json(PATH, "bob") as bob:
        await alice.ask("subscribe", {"topic": topic})
        await bob.ask("subscribe", {"topic": topic})
        await bob.ask("publish", {"topic": topic, "data": "a mark"})
        await alice.push("publication")
        assert [message for message in await alice.settle() if message["type"] == "presence"] == []


async def test_presence_follows_the_rule_of_the_topic(acme: Visitor) -> None:
    async with acme.open_json(PATH) as stranger, acme.open_json(PATH, "alice") as alice:
        assert_error(await stranger.request("presence", {"topic": "members:x"}), "unauthenticated")
        assert_error(await alice.request("presence", {"topic": "staff:x"}), "permission_denied")


async def change(talk: Talk, topic: str, what: str, username: str) -> bool:
    """The next presence push on `topic` says that `username` joined or left."""
    push = await talk.push("presence")
    assert push.keys() == {"topic", "joined", "left"}, push
    assert push["topic"] == topic
    return username in names(push[what])
