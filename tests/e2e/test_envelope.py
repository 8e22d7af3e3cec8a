"""The envelope of every JSON endpoint: ids, errors, ping, welcome, sizes, bad messages."""

import contextlib
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from tests.e2e.talk import Talk, assert_closed, assert_error
from tests.e2e.visitor import Visitor

KIB_64 = 64 * 1024
ENDPOINTS = ["/ws/pubsub/", "/ws/rpc/", "/ws/stream/?interval=60", "/ws/data/", "/ws/session/", "/ws/chat/"]

pytestmark = pytest.mark.parametrize("path", ENDPOINTS)


def open_endpoint(visitor: Visitor, path: str, cookie: str | None) -> Any:
    """Open it as alice, by session where it wants one."""
    return visitor.open_json(path, cookie=cookie) if cookie else visitor.open_json(path, "alice")


@pytest.fixture
async def talk(acme: Visitor, path: str) -> Any:
    """A conversation with the endpoint, its welcome taken."""
    cookie = await acme.session() if path == "/ws/session/" else None
    async with open_endpoint(acme, path, cookie) as talk:
        yield talk


async def test_welcome_says_where_one_is(talk: Talk) -> None:
    welcome = talk.welcome
    assert welcome.keys() >= {
        "connection_id", "tenant", "user", "scopes", "node", "server_time", "heartbeat", "limits"
    }  # fmt: skip
    assert welcome["tenant"] == "acme"
    assert welcome["user"].keys() >= {"id", "username"}
    assert welcome["user"]["username"] == "alice"
    assert {"chat:read", "chat:write", "pubsub:publish", "websocket:access"} <= set(welcome["scopes"])
    assert welcome["heartbeat"].keys() >= {"interval_s", "timeout_s"}
    assert isinstance(welcome["limits"], dict)
    assert isinstance(welcome["node"], str)
    server_time = datetime.fromisoformat(welcome["server_time"])
    assert abs(datetime.now(UTC) - server_time) < timedelta(seconds=60)


GOOD_IDS: list[str | int] = ["a", "x" * 64, "ünïcödé", 7, -1, 0, 2**53]


async def test_a_ping_with_an_id_gets_a_pong_with_it(talk: Talk, subtests: pytest.Subtests) -> None:
    for request_id in GOOD_IDS:
        with subtests.test(request_id=request_id):
            await talk.send("ping", id=request_id)
            reply = await talk.reply_to(request_id)
            assert reply["type"] == "pong"
            assert type(reply["id"]) is type(request_id)


async def test_a_ping_without_an_id_gets_a_pong_without(talk: Talk) -> None:
    await talk.send("ping")
    reply = await talk.first(lambda message: message["type"] == "pong")
    assert "id" not in reply


BAD_IDS: list[Any] = ["", "x" * 65, 1.5, True, [], {}]


async def test_a_bad_id_is_an_invalid_message(talk: Talk, subtests: pytest.Subtests) -> None:
    for request_id in BAD_IDS:
        with subtests.test(request_id=request_id):
            await talk.send("ping", id=request_id)
            error = assert_error(await talk.error(), "invalid_message")
            assert error["details"]["field"] == "id"


BAD = [
    ("not json", "invalid_json"),
    ("", "invalid_json"),
    ("{", "invalid_json"),
    ('{"type": NaN}', "invalid_json"),
    ('{"type": "ping", "type": "ping"}', "invalid_json"),
    ('{"type": "ping", "x": "\\ud800"}', "invalid_json"),
    ('{"type": "ping", "x": ' + "9" * 5000 + "}", "invalid_json"),
    ("[" * 5000, "invalid_json"),
    ('{"type": "ping", "payload": {"x": ' + "[" * 40 + "]" * 40 + "}}", "invalid_json"),
    ("[]", "invalid_message"),
    ('"ping"', "invalid_message"),
    ("7", "invalid_message"),
    ("{}", "invalid_message"),
    ('{"type": 7}', "invalid_message"),
    ('{"type": ""}', "invalid_message"),
    ('{"type": "ping", "payload": 7}', "invalid_message"),
    ('{"type": "ping", "payload": []}', "invalid_message"),
    ('{"type": "no.such.verb"}', "unknown_type"),
    ('{"type": "__class__"}', "unknown_type"),
    ('{"type": "websocket.close"}', "unknown_type"),
]


@pytest.mark.kinds("serve", "daphne")
async def test_every_bad_message_is_answered_and_the_socket_stays(acme: Visitor, talk: Talk) -> None:
    for frame, code in BAD:
        if frame == "" and acme.server.kind == "daphne":
            continue
        await talk.send_frame(frame)
        message = await talk.error()
        assert_error(message, code)
        assert "id" not in message, message
    assert (await talk.request("ping"))["type"] == "pong"


async def test_an_unknown_type_is_answered_with_its_id(talk: Talk) -> None:
    error = assert_error(await talk.request("no.such.verb"), "unknown_type")
    assert error["retryable"] is False


async def test_a_readable_id_is_given_back_with_the_error(talk: Talk) -> None:
    await talk.send_frame('{"id": "mine", "type": 7}')
    error = assert_error(await talk.reply_to("mine"), "invalid_message")
    assert error["details"]["field"] == "type"
    await talk.send_frame('{"id": "mine too", "type": "ping", "payload": 7}')
    error = assert_error(await talk.reply_to("mine too"), "invalid_message")
    assert error["details"]["field"] == "payload"


@pytest.mark.kinds("serve", "daphne")
async def test_a_binary_frame_is_an_invalid_message(talk: Talk) -> None:
    await talk.send_frame(b'{"id": "1", "type": "ping"}')
    assert_error(await talk.error(), "invalid_message")
    assert (await talk.request("ping"))["type"] == "pong"


async def test_the_border_of_64_kib(talk: Talk) -> None:
    envelope = json.dumps({"id": "1", "type": "ping", "payload": {"x": ""}})
    at_border = envelope[:-3] + "y" * (KIB_64 - len(envelope)) + envelope[-3:]
    assert len(at_border) == KIB_64
    await talk.send_frame(at_border)
    assert (await talk.reply_to("1"))["type"] in {"pong", "error"}
    await talk.send_frame(at_border[:-3] + "y" + at_border[-3:])
    assert_error(await talk.reply_to("1"), "message_too_large")
    assert (await talk.request("ping"))["type"] == "pong"


async def test_bytes_count_not_characters(talk: Talk) -> None:
    await talk.send_frame(json.dumps({"type": "ping", "payload": {"x": "é" * 33_000}}, ensure_ascii=False))
    assert_error(await talk.error(), "message_too_large")


@pytest.mark.kinds("serve", "daphne")
async def test_twenty_bad_messages_in_five_seconds_are_borne_and_the_next_closes(talk: Talk) -> None:
    for _ in range(20):
        await talk.send_frame("bad")
    for _ in range(20):
        assert_error(await talk.error(), "invalid_json")
    assert (await talk.request("ping"))["type"] == "pong"
    await talk.send_frame("bad")
    await assert_closed(talk, 4400)


@pytest.mark.kinds("serve", "daphne")
async def test_far_too_much_closes(acme: Visitor, talk: Talk) -> None:
    with contextlib.suppress(ConnectionClosed):
        await talk.send_frame("x" * (4 * 1024 * 1024))
    if acme.server.kind == "daphne":
        code, _ = await talk.closed()
        assert code not in {1000, 1001}
    else:
        await assert_closed(talk, 1009)
