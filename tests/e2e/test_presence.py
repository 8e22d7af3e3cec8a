"""Who is on a topic: the verb, the option of `subscribe`, the pushes."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from uuid import uuid4

import pytest

from tests.e2e.people import Person
from tests.e2e.talk import Message, Talk, assert_closed, assert_error
from tests.e2e.test_live_sign_out import sign_out
from tests.e2e.visitor import Visitor
from tests.servers.pool import Site

PATH = "/ws/pubsub/"

pytestmark = pytest.mark.kinds("serve", "scaled")


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
        assert names((await alice.ask("presence", {"topic": topic}))["users"]) == ["alice"]


async def test_coming_back_and_unsubscribing_ends_what_was_left_of_the_grace(
    acme: Visitor, topic: str
) -> None:
    async with acme.open_json(PATH, "alice") as alice:
        await alice.ask("subscribe", {"topic": topic, "presence": True})
        async with acme.open_json(PATH, "bob") as bob:
            await bob.ask("subscribe", {"topic": topic})
        async with acme.open_json(PATH, "bob") as bob:
            await bob.ask("subscribe", {"topic": topic})
            assert await change(alice, topic, "joined", "bob")
            await bob.ask("unsubscribe", {"topic": topic})
            assert await change(alice, topic, "left", "bob")


async def test_whoever_is_signed_out_leaves_at_once(acme: Visitor, topic: str) -> None:
    person = Person.new(acme.site)
    cookie = await acme.sign_in(person.username)
    async with acme.open_json(PATH, "alice") as alice, acme.open_json(PATH, cookie=cookie) as talk:
        await alice.ask("subscribe", {"topic": topic, "presence": True})
        await talk.ask("subscribe", {"topic": topic})
        assert await change(alice, topic, "joined", person.username)
        await sign_out(acme, cookie)
        await assert_closed(talk, 4401)
        closed_s = time.monotonic()
        assert await change(alice, topic, "left", person.username)
        assert time.monotonic() - closed_s < 4.0


async def test_whoever_goes_out_of_a_room_has_no_grace_left(acme: Visitor) -> None:
    path = "/ws/chat/"
    async with acme.open_json(path, "alice") as alice:
        room = {"name": f"room {uuid4().hex[:8]}", "is_public": True}
        room_id = (await alice.ask("room.create", room))["room"]["id"]
        topic = f"room:{room_id}"
        await alice.ask("subscribe", {"topic": topic, "presence": True})
        async with acme.open_json(path, "bob") as bob:
            await bob.ask("room.join", {"room_id": room_id})
            await bob.ask("subscribe", {"topic": topic})
            assert await change(alice, topic, "joined", "bob")
        await gone_without_a_word(alice, topic, "bob")
        async with acme.open_json(path, "bob") as bob:
            await bob.ask("room.leave", {"room_id": room_id})
            left_s = time.monotonic()
            assert await change(alice, topic, "left", "bob")
            assert time.monotonic() - left_s < 5.0


@pytest.mark.kinds("serve")
async def test_strangers_get_counts_and_no_names(acme: Visitor, topic: str) -> None:
    async with acme.open_json(PATH) as stranger, acme.open_json(PATH, "bob") as bob:
        await bob.ask("subscribe", {"topic": topic})
        reply = await stranger.ask("subscribe", {"topic": topic, "presence": True})
        assert reply["presence"] == {"users": [], "count": 1}
        assert await stranger.ask("presence", {"topic": topic}) == {"topic": topic, "users": [], "count": 1}
        async with acme.open_json(PATH, "alice") as alice:
            await alice.ask("subscribe", {"topic": topic})
            assert await stranger.push("presence") == {"topic": topic, "count": 2}
            await alice.ask("unsubscribe", {"topic": topic})
            assert await stranger.push("presence") == {"topic": topic, "count": 1}


@pytest.mark.kinds("serve")
async def test_counts_are_pushed_at_most_once_a_second(acme: Visitor, topic: str) -> None:
    async with acme.open_json(PATH) as stranger, acme.open_json(PATH, "bob") as bob:
        began_s = time.monotonic()
        await stranger.ask("subscribe", {"topic": topic, "presence": True})
        while time.monotonic() - began_s < 2.5:
            await bob.ask("subscribe", {"topic": topic})
            await asyncio.sleep(0.25)
            await bob.ask("unsubscribe", {"topic": topic})
            await asyncio.sleep(0.3)
        counts = [push["count"] for push in await pushes(stranger)]
        assert 1 <= len(counts) <= time.monotonic() - began_s + 1


async def test_changes_of_a_moment_come_in_one_push(acme: Visitor, topic: str) -> None:
    async with acme.open_json(PATH, "alice") as alice, acme.open_json(PATH, "bob") as bob:
        await alice.ask("subscribe", {"topic": topic, "presence": True})
        for _ in range(50):
            await bob.send("subscribe", {"topic": topic})
            await bob.send("unsubscribe", {"topic": topic})
        await bob.ask("subscribe", {"topic": topic})
        assert await eventually(alice, topic, {"alice"}) == {"alice", "bob"}
        assert len(await pushes(alice)) == 0


_CROWD = """
from accounts.models import Membership, Tenant, User
from accounts.credentials.tokens import token_issue
tenant = Tenant.objects.get(slug="acme")
User.objects.bulk_create([User(username=f"{prefix}-{number}") for number in range(count)])
users = User.objects.filter(username__startswith=prefix)
Membership.objects.bulk_create([Membership(user=user, tenant=tenant) for user in users])
members = Membership.objects.filter(user__in=users).select_related("user", "tenant")
result = [token_issue(member, None).access for member in members]
"""


@pytest.fixture
async def crowd(site: Site, acme: Visitor) -> AsyncIterator[list[Talk]]:
    """Sockets of two hundred users."""
    code = site.orm.run
    tokens = await asyncio.to_thread(code, _CROWD, prefix=f"crowd-{uuid4().hex[:8]}", count=200)
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(acme.open_json(PATH, token=token)) for token in tokens]


@pytest.mark.kinds("serve")
@pytest.mark.settings(REALTIME_MAX_CONNECTIONS_PER_IP=1000)
async def test_above_two_hundred_users_there_are_counts(acme: Visitor, topic: str, crowd: list[Talk]) -> None:
    async with acme.open_json(PATH, "alice") as alice, acme.open_json(PATH, "bob") as bob:
        await alice.ask("subscribe", {"topic": topic, "presence": True})
        for talk in crowd:
            await talk.ask("subscribe", {"topic": topic})
        while (push := await alice.push("presence")).get("count") != 201:
            assert len(push.get("joined", [])) <= 200
        assert push == {"topic": topic, "count": 201}
        assert await alice.ask("presence", {"topic": topic}) == {"topic": topic, "users": [], "count": 201}
        reply = await bob.ask("subscribe", {"topic": topic, "presence": True})
        assert reply["presence"] == {"users": [], "count": 202}
        for talk in crowd[:150]:
            await talk.ask("unsubscribe", {"topic": topic})
        users = (await alice.ask("presence", {"topic": topic}))["users"]
        assert len(users) == 52
        for watcher in (alice, bob):
            assert await eventually(watcher, topic, set(), len(users)) == set(names(users))


async def pushes(talk: Talk) -> list[Message]:
    """The presence pushes that are there."""
    return [message["payload"] for message in await talk.settle() if message["type"] == "presence"]


async def gone_without_a_word(talk: Talk, topic: str, username: str) -> None:
    """Wait until the server knows that the user's socket has ended."""
    for _ in range(100):
        users = (await talk.ask("presence", {"topic": topic}))["users"]
        if {user["username"]: user["connections"] for user in users}[username] == 0:
            return
        await asyncio.sleep(0.05)
    raise AssertionError(f"{username} is still connected")


async def eventually(talk: Talk, topic: str, known: set[str], size: int = 2) -> set[str]:
    """The names in the list after the pushes, from the moment it holds `size` of them; a count forgets them."""
    while len(known) != size:
        push = await talk.push("presence")
        assert push["topic"] == topic
        if "count" in push:
            assert push.keys() == {"topic", "count"}
            known = set()
            continue
        known = (known - set(names(push["left"]))) | set(names(push["joined"]))
    return known


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


@pytest.mark.kinds("serve")
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
