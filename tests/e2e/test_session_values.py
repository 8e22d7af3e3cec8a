"""/ws/session/: who one is, and values that live in the Django session."""

import json
from uuid import uuid4

import pytest

from tests.e2e.talk import Talk, assert_error, assert_reply
from tests.e2e.visitor import Visitor

PATH = "/ws/session/"
KIB_4 = 4096


async def test_whoami(acme: Visitor) -> None:
    async with acme.open_json(PATH, cookie=await acme.session()) as talk:
        payload = assert_reply(await talk.request("whoami"), "session")
        assert payload.keys() == {"user", "expires_at", "values"}
        assert payload["user"] == talk.welcome["user"]
        assert isinstance(payload["expires_at"], str)


VALUES: list[object] = ["text", 7, None, True, [1, {"a": "b"}], {"deep": {"er": []}}, "🚀"]


async def test_set_and_get(acme: Visitor, subtests: pytest.Subtests) -> None:
    async with acme.open_json(PATH, cookie=await acme.sign_in()) as talk:
        for value in VALUES:
            with subtests.test(value=value):
                key = f"k{uuid4().hex}"
                assert_reply(await talk.request("set", {"key": key, "value": value}), "saved")
                assert await talk.ask("get", {"key": key}) == {"key": key, "value": value}
                assert (await talk.ask("whoami"))["values"][key] == value


async def test_values_are_there_for_the_next_socket(acme: Visitor) -> None:
    cookie = await acme.sign_in()
    async with acme.open_json(PATH, cookie=cookie) as talk:
        await talk.ask("set", {"key": "theme", "value": "dark"})
    async with acme.open_json(PATH, cookie=cookie) as talk:
        assert (await talk.ask("get", {"key": "theme"}))["value"] == "dark"
    async with acme.open_json(PATH, cookie=await acme.sign_in()) as talk:
        reply = await talk.request("get", {"key": "theme"})
        assert reply["type"] == "error" or reply["payload"]["value"] is None


@pytest.mark.kinds("serve", "scaled")
async def test_two_sockets_of_a_session_do_not_lose_each_others_values(acme: Visitor) -> None:
    cookie = await acme.sign_in()
    async with acme.open_json(PATH, cookie=cookie) as one, acme.open_json(PATH, cookie=cookie) as two:
        await one.ask("set", {"key": "one", "value": 1})
        await two.ask("set", {"key": "two", "value": 2})
        assert (await one.ask("whoami"))["values"] == {"one": 1, "two": 2}


async def test_setting_a_value_does_not_sign_anybody_out(acme: Visitor) -> None:
    cookie = await acme.sign_in()
    async with acme.open_json(PATH, cookie=cookie) as talk:
        await talk.ask("set", {"key": "x", "value": 1})
    page = await acme.http.get("/chat/", headers={"Cookie": cookie})
    assert page.status_code == 200


@pytest.mark.parametrize(
    "key", ["", "x" * 65, "_auth_user_id", "_x", "a.b", "a b", "ä", "a\n", "a/b", 7, None, ["a"]]
)
async def test_keys_that_are_not(acme: Visitor, key: object) -> None:
    async with acme.open_json(PATH, cookie=await acme.session()) as talk:
        error = assert_error(await talk.request("set", {"key": key, "value": 1}), "invalid_message")
        assert "key" in error["details"]["field"]
        assert_error(await talk.request("get", {"key": key}), "invalid_message")


async def test_keys_that_are_fine(acme: Visitor, subtests: pytest.Subtests) -> None:
    async with acme.open_json(PATH, cookie=await acme.session()) as talk:
        for key in ("x", "x" * 64, "a-b_c", "-", "0", "A9"):
            with subtests.test(key=key):
                await talk.ask("set", {"key": key, "value": key})
                assert (await talk.ask("get", {"key": key}))["value"] == key


async def test_a_key_that_was_never_set(acme: Visitor) -> None:
    async with acme.open_json(PATH, cookie=await acme.session()) as talk:
        reply = await talk.request("get", {"key": "never-set"})
        assert reply["type"] == "error" or reply["payload"] == {"key": "never-set", "value": None}


async def test_values_up_to_4_kib(acme: Visitor) -> None:
    async with acme.open_json(PATH, cookie=await acme.sign_in()) as talk:
        assert len(json.dumps("x" * (KIB_4 - 2))) == KIB_4
        await talk.ask("set", {"key": "big", "value": "x" * (KIB_4 - 2)})
        await refused(talk, {"key": "bigger", "value": "x" * (KIB_4 - 1)})
        await refused(talk, {"key": "bytes", "value": "é" * (KIB_4 // 2)})


async def test_at_most_64_keys(acme: Visitor) -> None:
    async with acme.open_json(PATH, cookie=await acme.sign_in()) as talk:
        for number in range(64):
            await talk.ask("set", {"key": f"k{number}", "value": number})
        assert_error(await talk.request("set", {"key": "one-more", "value": 1}), "limit_exceeded")
        await talk.ask("set", {"key": "k0", "value": "changed"})
        assert len((await talk.ask("whoami"))["values"]) == 64


async def test_a_token_is_no_session(acme: Visitor) -> None:
    await acme.assert_refused(PATH, 401, 4401, token=await acme.token())
    await acme.assert_refused(PATH, 401, 4401)


async def refused(talk: Talk, payload: dict[str, object]) -> None:
    reply = await talk.request("set", payload)
    assert reply["payload"]["code"] in {"limit_exceeded", "message_too_large", "invalid_message"}, reply
