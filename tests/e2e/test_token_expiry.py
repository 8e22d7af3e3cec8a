"""A token ends its socket when it ends, says so before, and can be replaced in place."""

import asyncio
from uuid import uuid4

import pytest

from tests.e2e.people import Person
from tests.e2e.talk import Talk, assert_closed, assert_error, assert_reply
from tests.e2e.visitor import Visitor

PATH = "/ws/pubsub/"

short_lived = pytest.mark.settings(ACCESS_TOKEN_LIFETIME_S=4)


async def fresh(visitor: Visitor, username: str = "alice") -> str:
    """A token made just now."""
    return str((await visitor.tokens(username))["access"])


@short_lived
async def test_a_token_ends_its_sockets_unless_it_is_refreshed(acme: Visitor) -> None:
    """One wait for all: the end is announced and comes, on raw endpoints too; a fresh token puts it off."""
    token = await fresh(acme)
    async with (
        acme.open_json(PATH, token=token) as ends,
        acme.open("/ws/secure/", token=token) as raw,
        acme.open_json(PATH, token=token) as stays,
    ):
        assert "expires_at" in await ends.push("expiring")
        ending = asyncio.ensure_future(ends.closed())
        renewals = 0
        while not ending.done():
            # The end of each fresh token is announced again, which also sets the pace.
            await stays.push("expiring")
            assert (await stays.ask("refresh", {"token": await fresh(acme)})).keys() == {"expires_at"}
            renewals += 1
        assert renewals > 1, "the sockets ended long before their token"
        assert (await ending)[0] == 4401
        await assert_closed(raw, 4401)
        await acme.assert_refused(PATH, 401, 4401, token=token)
        assert await stays.is_alive()
        await assert_closed(stays, 4401)


async def test_refresh_answers_with_the_new_end(acme: Visitor) -> None:
    async with acme.open_json(PATH, "alice") as talk:
        payload = assert_reply(await talk.request("refresh", {"token": await fresh(acme)}), "refreshed")
        assert isinstance(payload["expires_at"], str | int | float)


async def test_refresh_wants_the_same_user_and_tenant(acme: Visitor, globex: Visitor) -> None:
    async with acme.open_json(PATH, "alice") as talk:
        for token in (await acme.token("bob"), await globex.token("carol"), "not-a-token"):
            await refused(talk, token)
        assert_reply(await talk.request("ping"), "pong")


async def test_refresh_wants_an_access_token(acme: Visitor) -> None:
    async with acme.open_json(PATH, "alice") as talk:
        await refused(talk, (await acme.tokens())["refresh"])


async def test_refresh_with_a_revoked_token(acme: Visitor) -> None:
    person = Person.new(acme.site)
    pair, other = await acme.tokens(person.username), await acme.tokens(person.username)
    await acme.post("/api/token/revoke/", {"refresh": other["refresh"]})
    async with acme.open_json(PATH, token=pair["access"]) as talk:
        await refused(talk, other["access"])


async def test_a_stranger_has_nothing_to_refresh(acme: Visitor) -> None:
    async with acme.open_json(PATH) as talk:
        await refused(talk, await acme.token())


@pytest.mark.parametrize("payload", [{}, {"token": 7}, {"token": None}])
async def test_refresh_without_a_token(acme: Visitor, payload: dict[str, object]) -> None:
    async with acme.open_json(PATH, "alice") as talk:
        assert_error(await talk.request("refresh", payload), "invalid_message")


async def refused(talk: Talk, token: str) -> None:
    reply = await talk.request("refresh", {"token": token})
    assert reply["type"] == "error", reply
    assert reply["payload"]["code"] in {"unauthenticated", "permission_denied"}, reply
    assert token not in str(reply)


async def test_a_refresh_with_fewer_scopes_ends_what_needed_them(acme: Visitor) -> None:
    """At once, and only that; a fuller token opens it again."""
    full, narrow = await acme.token("alice"), await acme.token("alice", ["pubsub:publish"])
    async with acme.open_json("/ws/chat/", token=full) as talk, acme.open_json("/ws/chat/", "alice") as other:
        room = (await talk.ask("room.create", {"name": f"narrow {uuid4().hex}"}))["room"]
        topic = f"room:{room['id']}"
        await talk.ask("subscribe", {"topics": [{"topic": topic}, {"topic": "members:all"}]})
        await talk.ask("refresh", {"token": narrow})
        ended = await talk.push("unsubscribed")
        assert (ended["topic"], ended["code"]) == (topic, "permission_denied")
        message = {"room_id": room["id"], "text": "not for everybody", "client_msg_id": str(uuid4())}
        await other.ask("message.send", message)
        await talk.ask("publish", {"topic": "members:all", "data": "still here"})
        assert (await talk.push("publication"))["data"] == "still here"
        assert_error(await talk.request("subscribe", {"topic": topic}), "permission_denied")
        await talk.ask("refresh", {"token": full})
        assert (await talk.ask("subscribe", {"topic": topic}))["topic"] == topic
