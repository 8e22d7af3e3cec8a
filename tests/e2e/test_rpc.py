"""Request and reply: the demo's methods, and the rules every method lives under."""

import asyncio
import json
import time

import pytest

from tests.e2e.talk import assert_error, assert_reply
from tests.e2e.visitor import Visitor

PATH = "/ws/rpc/"
LAB = {
    "DJANGO_SETTINGS_MODULE": "tests.fixtures.settings",
    "FIXTURES_REALTIME": json.dumps({"CALL_TIMEOUT_S": 2.0}),
}
CALLS = 8

in_the_lab = pytest.mark.settings(**LAB)


async def test_get_user(acme: Visitor) -> None:
    async with acme.open_json(PATH, "alice") as talk:
        alice = talk.welcome["user"]
        payload = assert_reply(await talk.request("get_user", {"user_id": alice["id"]}), "user_data")
        assert payload["user"].keys() >= {"id", "username", "status"}
        assert (payload["user"]["id"], payload["user"]["username"]) == (alice["id"], "alice")
        assert not {"password", "email", "is_superuser"} & payload["user"].keys()


@pytest.mark.parametrize("request_id", ["1", 1, "x" * 64])
async def test_the_reply_has_the_id_of_the_request(acme: Visitor, request_id: str | int) -> None:
    async with acme.open_json(PATH, "alice") as talk:
        await talk.send("get_user", {"user_id": talk.welcome["user"]["id"]}, id=request_id)
        assert_reply(await talk.reply_to(request_id), "user_data")


@pytest.mark.kinds("serve", "scaled")
async def test_update_status(acme: Visitor) -> None:
    async with acme.open_json(PATH, "bob") as bob, acme.open_json(PATH, "alice") as alice:
        for status in ("away", "online"):
            reply = await bob.request("update_status", {"status": status})
            assert assert_reply(reply, "status_updated") == {"success": True}
            seen = await alice.ask("get_user", {"user_id": bob.welcome["user"]["id"]})
            assert seen["user"]["status"] == status


async def test_update_status_is_for_users(acme: Visitor) -> None:
    async with acme.open_json(PATH) as talk:
        assert_error(await talk.request("update_status", {"status": "away"}), "unauthenticated")


@pytest.mark.parametrize("user_id", [1, 2, 999_999, "one", None])
async def test_get_user_is_for_users(acme: Visitor, user_id: object) -> None:
    """Also of somebody whom a member has just asked for, and of nobody."""
    async with acme.open_json(PATH, "alice") as alice, acme.open_json(PATH) as talk:
        await alice.request("get_user", {"user_id": user_id})
        assert_error(await talk.request("get_user", {"user_id": user_id}), "unauthenticated")


async def test_a_status_can_be_seen(acme: Visitor, subtests: pytest.Subtests) -> None:
    async with acme.open_json(PATH, "bob") as talk:
        for status in ("\u200b", "\u3164", "\u2800", "aw\u202eay", "a\u00adway"):
            with subtests.test(status=status):
                reply = await talk.request("update_status", {"status": status})
                error = assert_error(reply, "invalid_message")
                assert error["details"] == {"field": "payload.status"}


WRONG: list[tuple[str, dict[str, object]]] = [
    ("get_user", {}),
    ("get_user", {"user_id": "one"}),
    ("get_user", {"user_id": None}),
    ("get_user", {"user_id": 1.5}),
    ("update_status", {}),
    ("update_status", {"status": 7}),
    ("update_status", {"status": "x" * 10_000}),
]


async def test_wrong_parameters_name_their_field(acme: Visitor, subtests: pytest.Subtests) -> None:
    async with acme.open_json(PATH, "alice") as talk:
        for verb, payload in WRONG:
            with subtests.test(verb=verb, payload=payload):
                error = assert_error(await talk.request(verb, payload), "invalid_message")
                assert ("user_id" if verb == "get_user" else "status") in error["details"]["field"]


@pytest.mark.kinds("serve", "scaled")
async def test_a_user_that_does_not_exist(acme: Visitor, subtests: pytest.Subtests) -> None:
    async with acme.open_json(PATH, "alice") as talk:
        for user_id in (999_999, 0, -1, 2**63 - 1):
            with subtests.test(user_id=user_id):
                assert_error(await talk.request("get_user", {"user_id": user_id}), "not_found")


@pytest.mark.kinds("serve", "scaled")
@pytest.mark.parametrize("user_id", [2**63, 2**64 - 1])
async def test_a_number_no_database_holds(acme: Visitor, user_id: int) -> None:
    async with acme.open_json(PATH, "alice") as talk:
        error = assert_error(await talk.request("get_user", {"user_id": user_id}), "invalid_message")
        assert error["details"] == {"field": "payload.user_id"}


async def test_an_unknown_method(acme: Visitor, subtests: pytest.Subtests) -> None:
    async with acme.open_json(PATH, "alice") as talk:
        for name in ("get_users", "__init__", "rpc", "rpc.method", "get_user ", "GET_USER"):
            with subtests.test(name=name):
                assert_error(await talk.request(name), "unknown_type")


async def test_the_methods_describe_themselves(acme: Visitor) -> None:
    async with acme.open_json(PATH) as talk:
        payload = (await talk.request("rpc.methods"))["payload"]
    methods = {method["name"]: method for method in payload["methods"]}
    assert {"get_user", "update_status"} <= methods.keys()
    assert "user_id" in json.dumps(methods["get_user"]["params"])
    assert "status" in json.dumps(methods["update_status"]["params"])


async def test_many_requests_at_once_are_all_answered(acme: Visitor) -> None:
    async with acme.open_json(PATH, "alice") as talk:
        user_id = talk.welcome["user"]["id"]
        for number in range(CALLS):
            await talk.send("get_user", {"user_id": user_id}, id=f"n{number}")
        for number in reversed(range(CALLS)):
            assert_reply(await talk.reply_to(f"n{number}"), "user_data")


@in_the_lab
async def test_calls_answer_out_of_order(acme: Visitor) -> None:
    async with acme.open_json(PATH, "alice") as talk:
        await talk.send("lab.sleep", {"seconds": 0.5}, id="slow")
        await talk.send("lab.sleep", {"seconds": 0}, id="fast")
        answers = [(await talk.message())["id"] for _ in range(2)]
    assert answers == ["fast", "slow"]


@in_the_lab
async def test_the_ninth_in_flight_is_refused(acme: Visitor) -> None:
    async with acme.open_json(PATH, "alice") as talk:
        for number in range(CALLS):
            await talk.send("lab.sleep", {"seconds": 1}, id=f"n{number}")
        error = assert_error(await talk.request("lab.sleep", {"seconds": 0}, id="ninth"), "limit_exceeded")
        assert error["retryable"] is True
        for number in range(CALLS):
            assert (await talk.reply_to(f"n{number}"))["payload"] == {"slept": 1}
        assert (await talk.request("lab.sleep", {"seconds": 0}))["payload"] == {"slept": 0}


@in_the_lab
async def test_a_call_that_takes_too_long(acme: Visitor) -> None:
    async with acme.open_json(PATH, "alice") as talk:
        started_s = time.monotonic()
        error = assert_error(await talk.request("lab.sleep", {"seconds": 30}), "timeout")
        assert error["retryable"] is True
        assert time.monotonic() - started_s > 1.9
        assert_reply(await talk.request("ping"), "pong")


@in_the_lab
async def test_cancel(acme: Visitor) -> None:
    async with acme.open_json(PATH, "alice") as talk:
        await talk.send("lab.sleep", {"seconds": 30}, id="long")
        await talk.send("cancel", {"id": "long"})
        assert_error(await talk.reply_to("long"), "cancelled")
        assert (await talk.request("lab.sleep", {"seconds": 0}, id="long"))["payload"] == {"slept": 0}


@in_the_lab
async def test_cancel_of_what_is_not_running(acme: Visitor) -> None:
    async with acme.open_json(PATH, "alice") as talk:
        assert_error(await talk.request("cancel", {"id": "nothing"}), "not_found")
        assert_error(await talk.request("cancel", {}), "invalid_message")


@in_the_lab
async def test_an_id_in_flight_cannot_be_used_again(acme: Visitor) -> None:
    async with acme.open_json(PATH, "alice") as talk:
        await talk.send("lab.sleep", {"seconds": 0.5}, id="twice")
        await talk.send("lab.sleep", {"seconds": 0}, id="twice")
        assert_error(await talk.reply_to("twice"), "conflict")
        assert (await talk.reply_to("twice"))["payload"] == {"slept": 0.5}


@in_the_lab
@pytest.mark.parametrize("method", ["lab.fail", "lab.strange"])
async def test_a_handler_that_fails_tells_nothing_of_itself(acme: Visitor, method: str) -> None:
    async with acme.open_json(PATH, "alice") as talk:
        error = assert_error(await talk.request(method), "internal")
        assert "lab" not in json.dumps(error)
        assert "ZeroDivision" not in json.dumps(error)
        connection_id = talk.welcome["connection_id"]
        assert connection_id in json.dumps(error)
        assert_reply(await talk.request("ping"), "pong")
    log = acme.server.log()
    assert log.count(connection_id) >= 1
    if method == "lab.fail":
        assert log.count("ZeroDivisionError: the inside of the lab") >= 1
    acme.server.forget_faults()


@pytest.mark.kinds("serve", "daphne", "scaled")
@in_the_lab
async def test_a_slow_query_does_not_hold_up_anybody_elses_echo(acme: Visitor) -> None:
    echoes = 0
    async with acme.open_json(PATH, "alice") as slow, acme.open("/ws/echo/") as echo:
        done = asyncio.ensure_future(slow.request("lab.slow_query", {"seconds": 0.5}))
        while not done.done():
            await echo.send_frame("quick")
            await echo.frame()
            echoes += 1
            await asyncio.sleep(0.002)
        assert (await done)["payload"] == {"slept": 0.5}
    # Some hundred on a quiet machine, a few on any. Held up, it would be the one that was there before the query.
    assert echoes >= 5
