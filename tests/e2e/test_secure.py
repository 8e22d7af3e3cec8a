"""Endpoints with scopes, and endpoints of one host."""

import json

import pytest

from tests.e2e.visitor import Visitor

SECURE = "/ws/secure/"
VAULT = "/ws/vault/"
LOBBY = "/ws/lobby/"

pytestmark = pytest.mark.kinds("serve", "daphne")


async def test_secure_greets_and_replies(acme: Visitor) -> None:
    async with acme.open_json("/ws/rpc/", "alice") as talk:
        alice = talk.welcome["user"]
    async with acme.open(SECURE, token=await acme.token()) as talk:
        assert await talk.frame() == f"Welcome, user {alice['id']}!"
        for text in ("hello", "🚀", '{"type": "ping"}'):
            await talk.send_frame(text)
            message = json.loads(str(await talk.frame()))
            assert message["type"] == "reply"
            payload = message["payload"]
            assert payload.keys() == {"user", "tenant", "text"}
            assert payload["text"] == text
            assert payload["tenant"] == "acme"
            assert payload["user"] in (alice, alice["id"], "alice")


async def test_secure_takes_a_session(acme: Visitor) -> None:
    async with acme.open(SECURE, cookie=await acme.session()) as talk:
        assert str(await talk.frame()).startswith("Welcome, user ")


async def test_secure_wants_both_scopes(acme: Visitor) -> None:
    await acme.assert_refused(SECURE, 401, 4401)
    for scopes in (["chat:read"], ["chat:write"], ["websocket:access"], []):
        await acme.assert_refused(SECURE, 403, 4403, token=await acme.token("alice", scopes))
    token = await acme.token("alice", ["chat:read", "chat:write"])
    async with acme.open(SECURE, token=token) as talk:
        assert str(await talk.frame()).startswith("Welcome, user ")


async def test_the_lobby_is_on_acme_only(acme: Visitor, globex: Visitor) -> None:
    async with acme.open(LOBBY) as talk:
        assert await talk.is_alive()
    await globex.assert_refused(LOBBY, 404, 4404)
    await globex.assert_refused(LOBBY, 404, 4404, token=await globex.token("carol"))


async def test_the_vault_is_on_globex_only(acme: Visitor, globex: Visitor) -> None:
    await acme.assert_refused(VAULT, 404, 4404)
    await acme.assert_refused(VAULT, 404, 4404, token=await acme.token())
    await globex.assert_refused(VAULT, 401, 4401)
    async with globex.open(VAULT, token=await globex.token("carol")) as talk:
        assert await talk.is_alive()


async def test_the_vault_wants_its_scope(globex: Visitor) -> None:
    token = await globex.token("carol", ["chat:read", "chat:write"])
    await globex.assert_refused(VAULT, 403, 4403, token=token)


@pytest.mark.parametrize("path", [LOBBY, VAULT])
async def test_a_host_route_is_not_on_the_development_host(site: object, acme: Visitor, path: str) -> None:
    # `localhost` serves acme's data; a route registered for a host belongs to that host.
    await acme.assert_refused(path, 404, 4404, host="localhost")
