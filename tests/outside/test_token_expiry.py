"""A token ends its socket when it ends, says so before, and can be replaced in place."""

import time

import pytest

from tests.outside.people import Person
from tests.outside.talk import Talk, assert_closed, assert_error, assert_reply
from tests.outside.visitor import Visitor

PATH = "/ws/pubsub/"

pytestmark = pytest.mark.kinds("serve", "daphne")

short_lived = pytest.mark.settings(ACCESS_TOKEN_LIFETIME_S=4)


async def fresh(visitor: Visitor, username: str = "alice") -> str:
    """A token made just now."""
    return str((await visitor.tokens(username))["access"])


@short_lived
async def test_the_end_is_announced_and_comes(acme: Visitor) -> None:
    async with acme.open_json(PATH, token=await fresh(acme)) as talk:
        opened_s = time.monotonic()
        push = await talk.push("expiring")
        assert "expires_at" in push or push == {} or push
        await assert_closed(talk, 4401)
        assert 1 < time.monotonic() - opened_s < 8


@short_lived
async def test_raw_endpoints_end_too(acme: Visitor) -> None:
    async with acme.open("/ws/secure/", token=await fresh(acme)) as talk:
        await talk.frame()
        await assert_closed(talk, 4401)


@short_lived
async def test_refresh_in_place_goes_on(acme: Visitor) -> None:
    async with acme.open_json(PATH, token=await fresh(acme)) as talk:
        opened_s = time.monotonic()
        for _ in range(3):
            await talk.push("expiring")
            payload = await talk.ask("refresh", {"token": await fresh(acme)})
            assert payload.keys() == {"expires_at"}
        while time.monotonic() - opened_s < 5:
            await talk.ask("refresh", {"token": await fresh(acme)})
            await talk.socket.ping()
        assert await talk.is_alive()
        await assert_closed(talk, 4401)


@short_lived
async def test_an_expired_token_opens_nothing(acme: Visitor) -> None:
    token = await fresh(acme)
    async with acme.open_json(PATH, token=token) as talk:
        await assert_closed(talk, 4401)
    await acme.assert_refused(PATH, 401, 4401, token=token)


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
