"""What ASGI promises an application, on our class: and where it can be compared, the same as uvicorn's own."""

import asyncio
import json
import logging
from typing import Any

import pytest
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from realtime.sockets.transport import TRANSPORT_EXTENSION
from tests.server.client import connect, opened, request
from tests.server.lab import OURS, echo, serving
from tests.server.wire import BINARY, CLOSE, PING, PONG, TEXT, client_frame, close_frame

STOCK = f"{WebSocketsSansIOProtocol.__module__}:{WebSocketsSansIOProtocol.__name__}"
BYE = client_frame(CLOSE, (1000).to_bytes(2))
BOTH = pytest.mark.parametrize("ws", [OURS, STOCK])


@pytest.mark.parametrize("root_path", ["", "/under"])
@pytest.mark.parametrize("path", ["/", "/ws/echo/?a=b&c=%20", "/caf%C3%A9/%2F?", "/a//b/../c"])
async def test_the_scope_is_that_of_uvicorns_own_class(path: str, root_path: str) -> None:
    async def tell(scope: Any, receive: Any, send: Any) -> None:
        scopes.append(scope)
        await echo(scope, receive, send)

    scopes: list[dict[str, Any]] = []
    sent = request(path, sec_websocket_protocol="one, two", x_odd="Odd: välue", cookie="a=1; b=2")
    for ws in (OURS, STOCK):
        async with serving(tell, ws=ws, root_path=root_path) as lab, connect(lab.port) as client:
            client.send(sent)
            await client.head()
            own = client.writer.get_extra_info("sockname")
            assert scopes[-1].pop("client") == own
            assert scopes[-1].pop("server") == ("127.0.0.1", lab.port)
            assert scopes[-1]["state"] is not lab.app_state
    ours, stock = scopes
    assert ours["extensions"].pop(TRANSPORT_EXTENSION)
    assert ours == stock


async def test_what_is_asked_again_after_the_end_is_told_again() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        told.extend([await receive() for _ in range(3)])
        for event in ({"type": "websocket.send", "text": "late"}, {"type": "websocket.close"}):
            with pytest.raises(OSError, match="disconnected"):
                await send(event)
        told.append({})

    told: list[dict[str, Any]] = []
    async with serving(app) as lab, opened(lab.port) as client:
        client.send(close_frame(4001, b"why"))
        assert await client.close_code() == 4001
        await lab.is_empty()
    assert told == [{"type": "websocket.disconnect", "code": 4001, "reason": "why"}] * 3 + [{}]


async def test_after_its_own_close_an_application_cannot_send() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.close", "code": 4002, "reason": "done"})
        told.append(await receive())
        with pytest.raises(OSError, match="disconnected"):
            await send({"type": "websocket.send", "text": "late"})

    told: list[dict[str, Any]] = []
    async with serving(app) as lab, opened(lab.port) as client:
        assert await client.frame() == (CLOSE, (4002).to_bytes(2) + b"done")
        client.send(client_frame(TEXT, b"after"), client_frame(PING, b"after"), close_frame(4002))
        assert await client.ended() == b""
    assert told == [{"type": "websocket.disconnect", "code": 4002, "reason": "done"}]


@BOTH
async def test_a_failure_before_the_accept_is_500(ws: str, caplog: pytest.LogCaptureFixture) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise ZeroDivisionError("the inside")

    async with serving(app, may_fail=True, ws=ws) as lab, connect(lab.port) as client:
        client.send(request())
        status, _, body = await client.answer()
    assert status == 500
    assert b"inside" not in body
    assert [record.levelname for record in caplog.records] == ["ERROR"]


async def test_a_failure_after_the_accept_is_1011(caplog: pytest.LogCaptureFixture) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        raise ZeroDivisionError("the inside")

    async with serving(app, may_fail=True) as lab, opened(lab.port) as client:
        assert await client.frame() == (CLOSE, (1011).to_bytes(2))
        client.send(close_frame(1011))
        assert await client.ended() == b""
    assert [record.levelname for record in caplog.records] == ["ERROR"]


@BOTH
async def test_to_return_without_an_answer_is_500(ws: str) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()

    async with serving(app, ws=ws) as lab, connect(lab.port) as client:
        client.send(request())
        assert (await client.answer())[0] == 500


async def test_to_return_without_closing_is_1000() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})

    async with serving(app) as lab, opened(lab.port) as client:
        assert await client.close_code() == 1000
        client.send(BYE)
        assert await client.ended() == b""


@BOTH
async def test_a_close_before_the_accept_is_403(ws: str) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.close"})
        assert await receive() == {"type": "websocket.disconnect", "code": 1006, "reason": ""} or ws == STOCK

    async with serving(app, ws=ws) as lab, connect(lab.port) as client:
        client.send(request())
        assert (await client.answer())[0] == 403


@BOTH
async def test_a_denial_in_pieces(ws: str) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert scope["extensions"]["websocket.http.response"] == {}
        await receive()
        headers = [(b"X-Why", b"because"), (b"content-type", b"text/plain")]
        await send({"type": "websocket.http.response.start", "status": 451, "headers": headers})
        await send({"type": "websocket.http.response.body", "body": b"not ", "more_body": True})
        await send({"type": "websocket.http.response.body", "body": b"here"})

    async with serving(app, ws=ws) as lab, connect(lab.port) as client:
        client.send(request())
        status, head, body = await client.answer()
    assert (status, body) == (451, b"not here")
    assert b"x-why: because" in head.lower()
    assert head.lower().count(b"content-length: 8") == 1


async def test_a_denial_that_is_never_finished_is_500() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.http.response.start", "status": 451})
        with pytest.raises(RuntimeError):
            await send({"type": "websocket.accept"})

    async with serving(app) as lab, connect(lab.port) as client:
        client.send(request())
        assert (await client.answer())[0] == 500


async def test_refusals_of_the_server_are_json() -> None:
    async with serving(echo) as lab, connect(lab.port) as client:
        client.send(request(sec_websocket_key="short"))
        status, head, body = await client.answer()
    assert status == 400
    assert b"content-type: application/json" in head
    assert json.loads(body)["error"]["code"] == "bad_request"


@BOTH
async def test_subprotocol_and_headers_of_an_accept(ws: str) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        headers = [(b"x-one", b"1"), (b"x-two", b"2")]
        await send({"type": "websocket.accept", "subprotocol": scope["subprotocols"][1], "headers": headers})
        await receive()

    async with serving(app, ws=ws, headers=[("x-all", "3")]) as lab, connect(lab.port) as client:
        lab.state.default_headers = lab.config.encoded_headers
        client.send(request(sec_websocket_protocol="a, b"))
        head = (await client.head()).lower()
        for line in (b"sec-websocket-protocol: b", b"x-one: 1", b"x-two: 2", b"x-all: 3"):
            assert line in head
        client.reset()


@pytest.mark.parametrize("kind", ["websocket.accept", "websocket.http.response.start", "nonsense"])
async def test_what_does_not_belong_there_is_an_error(kind: str) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        with pytest.raises(RuntimeError):
            await send({"type": "websocket.send", "text": "too early"})
        await send({"type": "websocket.accept"})
        with pytest.raises(RuntimeError):
            await send({"type": kind})
        await send({"type": "websocket.send", "text": "still open"})
        await receive()

    async with serving(app) as lab, opened(lab.port) as client:
        assert await client.frame() == (TEXT, b"still open")
        client.send(BYE)
        await client.ended()


async def test_a_client_that_leaves_before_the_accept() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert (await receive())["type"] == "websocket.connect"
        there.set()
        told.append(await receive())
        with pytest.raises(OSError, match="disconnected"):
            await send({"type": "websocket.accept"})

    there = asyncio.Event()
    told: list[dict[str, Any]] = []
    async with serving(app) as lab:
        async with connect(lab.port) as client:
            client.send(request())
            await there.wait()
        await lab.is_empty()
    assert told[0]["code"] == 1006


@pytest.mark.parametrize("cut", [0, 1, 7])
async def test_frames_sent_along_with_the_handshake_are_not_lost(cut: int) -> None:
    frames = client_frame(TEXT, b"eager") + client_frame(PING, b"p")
    async with serving(echo) as lab, connect(lab.port) as client:
        client.send(request(), frames[: len(frames) - cut])
        await client.head()
        client.send(frames[len(frames) - cut :])
        assert sorted([await client.frame(), await client.frame()]) == [(TEXT, b"eager"), (PONG, b"p")]
        client.text("then")
        assert await client.frame() == (TEXT, b"then")


async def test_frames_sent_before_the_accept_wait_for_it() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await may_accept.wait()
        await echo(scope, receive, send)

    may_accept = asyncio.Event()
    async with serving(app) as lab, connect(lab.port) as client:
        client.send(request())
        for number in range(200):
            client.text(str(number))
        await client.drain()
        may_accept.set()
        await client.head()
        assert [await client.frame() for _ in range(200)] == [(TEXT, b"%d" % number) for number in range(200)]


async def test_messages_and_kinds_arrive_in_order() -> None:
    async with serving(echo) as lab, opened(lab.port) as client:
        sent = [(TEXT, "ä".encode() * 10), (BINARY, b""), (TEXT, b""), (BINARY, bytes(70_000))] * 50
        client.send(*[client_frame(*each) for each in sent])
        assert [await client.frame() for _ in sent] == sent


async def test_what_came_before_a_fault_is_handled() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        while (event := await receive())["type"] == "websocket.receive":
            told.append(event["text"])
        told.append(event["code"])

    told: list[Any] = []
    async with serving(app) as lab, opened(lab.port) as client:
        client.send(*[client_frame(TEXT, b"%d" % number) for number in range(100)], client_frame(3))
        assert await client.close_code() == 1002
        await lab.is_empty()
    assert told == [*map(str, range(100)), 1002]


async def test_shutdown_tells_client_and_application() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        told.append((await receive())["code"])

    told: list[int] = []
    async with serving(app) as lab, opened(lab.port) as client:
        lab.sockets[0].shutdown()
        assert await client.close_code() == 1012
        assert await client.ended() == b""
    assert told == [1012]


async def test_shutdown_before_the_accept_is_503() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        there.set()
        await receive()

    there = asyncio.Event()
    async with serving(app) as lab, connect(lab.port) as client:
        client.send(request())
        await there.wait()
        lab.sockets[0].shutdown()
        status, head, _ = await client.answer()
    assert status == 503
    assert b"retry-after" in head


async def test_the_application_never_logs_a_client_that_left(caplog: pytest.LogCaptureFixture) -> None:
    async with serving(echo) as lab:
        async with opened(lab.port) as client:
            for _ in range(20):
                client.text("x" * 1000)
            client.reset()
        await lab.is_empty()
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
