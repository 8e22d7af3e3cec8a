"""Who may do what with which topic: the demo's rules, for nobody, members, staff and another tenant."""

from collections.abc import AsyncIterator
from uuid import uuid4

import pytest

from tests.e2e.talk import Talk, assert_error
from tests.e2e.visitor import Visitor

PATH = "/ws/pubsub/"
# (prefix, who) -> what may be done: s(ubscribe), p(ublish)
ALLOWED = {
    ("", "nobody"): "sp",
    ("", "alice"): "sp",
    ("", "admin"): "sp",
    ("members:", "nobody"): "",
    ("members:", "alice"): "sp",
    ("members:", "admin"): "sp",
    ("staff:", "nobody"): "",
    ("staff:", "alice"): "",
    ("staff:", "admin"): "sp",
    ("unheard-of:", "nobody"): "",
    ("unheard-of:", "alice"): "",
    ("unheard-of:", "admin"): "",
}


@pytest.fixture
async def talk(acme: Visitor, who: str) -> AsyncIterator[Talk]:
    """A socket as `who`."""
    async with acme.open_json(PATH, None if who == "nobody" else who) as talk:
        yield talk


@pytest.mark.parametrize(("prefix", "who"), list(ALLOWED))
async def test_the_matrix(talk: Talk, prefix: str, who: str) -> None:
    topic = f"{prefix}{uuid4().hex}"
    refusal = "unauthenticated" if who == "nobody" and prefix != "unheard-of:" else "permission_denied"
    verbs = {"subscribe": "s", "history": "s", "presence": "s", "publish": "p"}
    for verb, letter in verbs.items():
        reply = await talk.request(verb, {"topic": topic} | ({"data": 1} if verb == "publish" else {}))
        if letter in ALLOWED[prefix, who]:
            assert reply["type"] != "error", reply
        else:
            assert reply["payload"]["code"] in {refusal, "permission_denied"}, reply


@pytest.mark.parametrize("who", ["alice"])
async def test_a_users_own_topic(acme: Visitor, talk: Talk) -> None:
    own = f"user:{talk.welcome['user']['id']}"
    await talk.ask("subscribe", {"topic": own})
    assert_error(await talk.request("publish", {"topic": own, "data": 1}), "permission_denied")
    async with acme.open_json(PATH, "bob") as bob:
        assert_error(await bob.request("subscribe", {"topic": own}), "permission_denied")
        assert_error(await bob.request("history", {"topic": own}), "permission_denied")
    async with acme.open_json(PATH) as nobody:
        assert_error(await nobody.request("subscribe", {"topic": own}), "unauthenticated")


async def test_publishing_to_members_wants_the_scope(acme: Visitor) -> None:
    token = await acme.token("alice", ["websocket:access"])
    async with acme.open_json(PATH, token=token) as talk:
        await talk.ask("subscribe", {"topic": "members:scopes"})
        reply = await talk.request("publish", {"topic": "members:scopes", "data": 1})
        assert_error(reply, "permission_denied")
