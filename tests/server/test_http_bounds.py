"""Bounds of plain HTTP: heads, bodies, pipelines and connections end where they are said to end."""

import asyncio
import contextlib
import json
import logging
from random import Random
from typing import Any

import pytest

from realtime.core.addresses import TrustedProxies
from realtime.protocol.http import HEAD_MAX_BYTES
from realtime.server import http
from realtime.server.http_quota import LINGERING_MAX, HttpLimits
from tests.server.client import Client, connect, opened, request
from tests.server.lab import Lab, echo, serving

START = b"POST /form HTTP/1.1\r\nHost: acme.localhost\r\n"
GET = b"GET / HTTP/1.1\r\nHost: acme.localhost\r\n\r\n"
BODY_BYTES = 1000
SMALL = HttpLimits(body_bytes=BODY_BYTES)
QUICK = HttpLimits(head_timeout_s=0.2)
FEW = HttpLimits(connections_per_address=3)
SOON_S = 5.0
# A server on this machine that takes nothing for so long does not read.
NOT_READ_S = 1.0


class Site:
    """Takes in whole bodies, as Django does, and counts."""

    answer = b"ok"

    def __init__(self) -> None:
        self.asked = 0
        self.under_way = 0
        self.most_under_way = 0
        self.received_bytes = 0
        self.gone = 0
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "websocket":
            await echo(scope, receive, send)
            return
        self.asked += 1
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        has_more = True
        while has_more:
            event = await receive()
            if event["type"] == "http.disconnect":
                self.gone += 1
                return
            self.received_bytes += len(event["body"])
            has_more = event["more_body"]
        await self.may_answer.wait()
        self.under_way -= 1
        headers = [(b"content-length", b"%d" % len(self.answer))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": self.answer})


async def send_until_cut(client: Client, piece: bytes, most_bytes: int) -> int:
    """Send `piece` again and again; how many bytes went out before the server would have no more."""
    sent = 0
    with contextlib.suppress(ConnectionError, TimeoutError):
        while sent < most_bytes:
            client.send(piece)
            async with asyncio.timeout(NOT_READ_S):
                await client.writer.drain()
            sent += len(piece)
    return sent


async def refusal(client: Client, status: int) -> dict[str, str]:
    """The error in an answer that ends the connection."""
    found, head, body = await client.answer()
    assert found == status, head
    assert b"connection: close" in head
    assert b"nosniff" in head
    error: dict[str, str] = json.loads(body)["error"]
    return error


ENDLESS = {
    "request line": (b"GET /", b"a" * 4096),
    "header value": (b"GET / HTTP/1.1\r\nX: ", b"x" * 4096),
    "header lines": (b"GET / HTTP/1.1\r\n", b"A:b\r\n" * 800),
    "long header lines": (b"GET / HTTP/1.1\r\n", b"A: " + b"b" * 4000 + b"\r\n"),
    "empty lines": (b"", b"\r\n" * 2000),
}


@pytest.mark.parametrize("behind", [False, True])
@pytest.mark.parametrize("case", ENDLESS)
async def test_an_endless_head_is_431(case: str, behind: bool) -> None:
    site = Site()
    start, piece = ENDLESS[case]
    async with serving(site) as lab, connect(lab.port) as client:
        if behind:
            client.send(GET)
            await client.head()
            await client.reader.readexactly(2)
        client.send(start)
        for _ in range(HEAD_MAX_BYTES // len(piece) + 1):
            client.send(piece)
        await refusal(client, 431)
    assert site.asked == behind


async def test_who_goes_on_with_an_endless_head_is_cut() -> None:
    async with serving(Site()) as lab, connect(lab.port) as client:
        client.send(b"GET / HTTP/1.1\r\nX: ")
        # What the kernels hold, and what is thrown away in a second at most.
        assert await send_until_cut(client, b"x" * 65_536, 100_000_000) < 20_000_000


@pytest.mark.parametrize("start", [b"GET / HTTP/1.1\r\nHost", GET + b"GET / HT"])
async def test_a_head_has_a_deadline(start: bytes) -> None:
    async with serving(Site(), limits=QUICK) as lab, connect(lab.port) as client:
        client.send(start)
        if start.startswith(GET):
            await client.head()
            await client.reader.readexactly(2)
        assert (await refusal(client, 408))["code"] == "request_timeout"


async def test_a_deadline_is_not_put_off_by_drops() -> None:
    async with serving(Site(), limits=QUICK) as lab, connect(lab.port) as client:
        client.send(b"GET / HTTP/1.1\r\n")
        async with asyncio.timeout(SOON_S):
            answer = asyncio.create_task(client.reader.read())
            while not answer.done():
                client.send(b"A")
                await asyncio.sleep(0.02)
        assert b" 408 " in await answer


async def test_who_asks_nothing_is_let_go() -> None:
    async with serving(Site(), limits=QUICK) as lab, connect(lab.port) as client:
        assert await client.ended(SOON_S) == b""


@pytest.mark.parametrize(
    "announced",
    [b"Content-Length: 1001\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n3e9\r\n"],
)
async def test_a_body_over_the_bound_is_413_before_it_comes(announced: bytes) -> None:
    site = Site()
    async with serving(site, limits=SMALL) as lab, connect(lab.port) as client:
        client.send(START + announced)
        assert (await refusal(client, 413))["code"] == "message_too_large"
    assert site.received_bytes == 0


async def test_endless_chunks_are_413() -> None:
    site = Site()
    async with serving(site, limits=SMALL) as lab, connect(lab.port) as client:
        client.send(START + b"Transfer-Encoding: chunked\r\n\r\n", b"64\r\n" + b"x" * 100 + b"\r\n")
        client.send((b"64\r\n" + b"x" * 100 + b"\r\n") * 100)
        await refusal(client, 413)
    assert site.received_bytes <= BODY_BYTES
    assert site.gone == site.asked


async def test_a_body_that_is_refused_is_not_asked_for() -> None:
    async with serving(Site(), limits=SMALL) as lab, connect(lab.port) as client:
        client.send(START + b"Expect: 100-continue\r\nContent-Length: 1001\r\n\r\n")
        await refusal(client, 413)


async def test_a_body_that_is_taken_is_asked_for() -> None:
    async with serving(Site(), limits=SMALL) as lab, connect(lab.port) as client:
        client.send(START + b"Expect: 100-continue\r\nContent-Length: 1000\r\n\r\n")
        assert (await client.head()).startswith(b"HTTP/1.1 100 ")
        client.send(b"x" * 1000)
        assert (await client.head()).startswith(b"HTTP/1.1 200 ")


async def test_a_body_that_ends_after_its_answer_is_bounded_too() -> None:
    async def deaf(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 404, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body"})

    async with serving(deaf, limits=SMALL) as lab, connect(lab.port) as client:
        client.send(START + b"Transfer-Encoding: chunked\r\n\r\n")
        assert b" 404 " in await client.head()
        assert await send_until_cut(client, b"64\r\n" + b"x" * 100 + b"\r\n", 50_000_000) < 20_000_000
        assert await client.ended(SOON_S) == b""


async def test_the_next_request_comes_after_a_body_that_nobody_read() -> None:
    async def deaf(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 404, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body"})

    async with serving(deaf) as lab, connect(lab.port) as client:
        client.send(START + b"Content-Length: 500\r\n\r\n")
        assert b" 404 " in await client.head()
        client.send(b"x" * 500 + GET)
        assert b" 404 " in await client.head()


async def test_a_slow_body_is_408(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "LOOK_S", 0.1)
    site = Site()
    async with serving(site) as lab, connect(lab.port) as client:
        client.send(START + b"Content-Length: 100000\r\n\r\n", b"x")
        await refusal(client, 408)
    assert site.gone == 1


async def test_a_body_that_goes_on_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "LOOK_S", 0.1)
    monkeypatch.setattr(http, "BODY_MIN_BYTES_PER_LOOK", 10)
    async with serving(Site()) as lab, connect(lab.port) as client:
        client.send(START + b"Content-Length: 400\r\n\r\n")
        for _ in range(20):
            client.send(b"x" * 20)
            await asyncio.sleep(0.02)
        assert b" 200 " in await client.head()


async def test_bodies_of_one_address_and_of_all_are_bounded_together() -> None:
    site = Site()
    site.may_answer.clear()
    limits = HttpLimits(bodies_bytes=4000)
    async with serving(site, limits=limits) as lab, connect(lab.port) as one, connect(lab.port) as two:
        one.send(START + b"Content-Length: 900\r\n\r\n" + b"x" * 900)
        while site.received_bytes < 900:  # noqa: ASYNC110 it is the server that is waited for
            await asyncio.sleep(0.005)
        two.send(START + b"Content-Length: 200\r\n\r\n" + b"x" * 200)
        assert (await refusal(two, 503))["code"] == "busy"
        site.may_answer.set()
        assert b" 200 " in await one.head()
        await one.reader.readexactly(2)
        one.send(START + b"Content-Length: 900\r\n\r\n" + b"x" * 900)
        assert b" 200 " in await one.head()


async def test_pipelined_requests_wait_and_are_all_answered() -> None:
    site = Site()
    async with serving(site) as lab, connect(lab.port) as client:
        client.send(GET * 500)
        for _ in range(500):
            await client.head()
            assert await client.reader.readexactly(2) == b"ok"
    assert (site.asked, site.most_under_way) == (500, 1)


async def test_who_reads_one_answer_behind_is_not_taken_for_one_who_does_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(http, "LOOK_S", 0.25)
    monkeypatch.setattr(Site, "answer", b"x" * 300_000)
    async with serving(Site()) as lab, connect(lab.port, receive_bytes=65_536) as client:
        client.send(GET * 40)
        for _ in range(40):
            await client.head()
            await client.reader.readexactly(300_000)
            await asyncio.sleep(0.03)


async def test_who_pipelines_and_gets_no_answer_is_not_read() -> None:
    site = Site()
    site.may_answer.clear()
    async with serving(site) as lab, connect(lab.port) as client:
        assert await send_until_cut(client, GET * 2000, 100_000_000) < 20_000_000
        assert site.asked == 1
        waiting = max(len(each._waiting) for each in lab.state.connections if hasattr(each, "_waiting"))
        assert waiting < 1024 * 1024
        client.reset()
        site.may_answer.set()


async def test_who_takes_no_answer_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "LOOK_S", 0.1)

    async def much(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        with contextlib.suppress(OSError):
            for _ in range(500):
                await send({"type": "http.response.body", "body": b"x" * 65_536, "more_body": True})
        await send({"type": "http.response.body"})

    async with serving(much) as lab, connect(lab.port, receive_bytes=4096) as client:
        client.send(GET)
        await client.head()
        client.writer.transport.pause_reading()  # type: ignore[attr-defined] # it is a reading one
        await lab.is_empty()


async def are_inside(lab: Lab, count: int) -> None:
    """Wait until so many are."""
    async with asyncio.timeout(SOON_S):
        while lab.http_quota.count != count:  # noqa: ASYNC110 it is the server that is waited for
            await asyncio.sleep(0.005)


@pytest.mark.parametrize("begun", [b"", b"GET / HT"])
async def test_half_sent_heads_are_counted_by_address(begun: bytes, caplog: pytest.LogCaptureFixture) -> None:
    async with serving(Site(), limits=FEW) as lab, contextlib.AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(connect(lab.port)) for _ in range(3)]
        for client in clients:
            client.send(begun)
        await are_inside(lab, 3)
        with caplog.at_level(logging.WARNING, "realtime.server.http_quota"):
            for _ in range(2):
                async with connect(lab.port) as client:
                    client.send(request())
                    assert (await refusal(client, 429))["code"] == "rate_limited"
        assert len(caplog.records) == 1
        clients[0].reset()
        await are_inside(lab, 2)
        await stack.enter_async_context(opened(lab.port))


async def test_of_a_process() -> None:
    limits = HttpLimits(connections=2, connections_per_address=0)
    async with serving(Site(), limits=limits) as lab, connect(lab.port), connect(lab.port):
        await are_inside(lab, 2)
        async with connect(lab.port) as client:
            client.send(GET)
            assert (await refusal(client, 503))["code"] == "full"


async def test_proxies_that_are_trusted_are_not_counted() -> None:
    limits = HttpLimits(connections_per_address=1, proxies=TrustedProxies(["127.0.0.0/8"]))
    async with serving(Site(), limits=limits) as lab, connect(lab.port), connect(lab.port) as client:
        client.send(GET)
        assert b" 200 " in await client.head()
        assert lab.http_quota.count == 2


async def test_open_sockets_are_not_counted_and_those_being_closed_are() -> None:
    async def close(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        assert (await receive())["type"] == "websocket.receive"
        await send({"type": "websocket.close", "code": 4429, "timeout_s": 0.2})

    async with serving(close, limits=FEW) as lab, contextlib.AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(opened(lab.port)) for _ in range(10)]
        assert lab.http_quota.count == 0
        for client in clients:
            client.text("end")
        await are_inside(lab, 10)
        async with connect(lab.port) as client:
            client.send(request())
            await refusal(client, 429)
        # They do not answer, and are gone nevertheless.
        await are_inside(lab, 0)


async def test_those_who_are_turned_away_are_not_many() -> None:
    limits = HttpLimits(connections_per_address=1)
    async with serving(Site(), limits=limits) as lab, connect(lab.port) as first:
        first.send(b"G")
        await are_inside(lab, 1)
        async with contextlib.AsyncExitStack() as stack:
            for _ in range(LINGERING_MAX + 20):
                last = await stack.enter_async_context(connect(lab.port))
            assert await last.ended(SOON_S) == b""
            assert len(lab.state.connections) <= LINGERING_MAX + 1


async def test_who_leaves_amid_a_pipeline_leaves_nothing(caplog: pytest.LogCaptureFixture) -> None:
    async with serving(Site()) as lab:
        async with connect(lab.port) as client:
            client.send(GET * 3000)
            await client.head()
            client.reset()
        await lab.is_empty()
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


PARTS = (
    GET,
    request("/ws/"),
    START + b"Content-Length: 5\r\n\r\nwhole",
    START + b"Transfer-Encoding: chunked\r\n\r\n5\r\nwhole\r\n0\r\n\r\n",
    START + b"Expect: 100-continue\r\nContent-Length: 3\r\n\r\n",
    b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n",
    b"GET http://acme.localhost/ HTTP/1.1\r\nHost: acme.localhost\r\n\r\n",
    b"\r\n\r\n",
    b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET /%ff%00?\xff HTTP/1.1\r\nHost: a\r\n\r\n",
)


def mutated(random: Random) -> bytes:
    """Requests after one another, some of them damaged."""
    stream = bytearray(b"".join(random.choices(PARTS, k=random.randint(1, 5))))
    for _ in range(random.choice((0, 0, 1, 3))):
        at = random.randrange(len(stream))
        stream[at : at + random.randint(0, 3)] = random.randbytes(random.randint(0, 3))
    return bytes(stream)


@pytest.mark.parametrize("seed", range(2))
async def test_whatever_comes_nothing_fails_and_nothing_stays(
    seed: int, caplog: pytest.LogCaptureFixture
) -> None:
    random = Random(seed)
    limits = HttpLimits(body_bytes=BODY_BYTES, head_timeout_s=0.5)

    async def visit(stream: bytes, at: int, has_end: bool) -> None:
        with contextlib.suppress(ConnectionError):
            async with connect(lab.port) as client:
                client.send(stream[:at])
                await client.drain()
                client.send(stream[at:])
                if has_end:
                    client.writer.write_eof()
                with contextlib.suppress(TimeoutError):
                    await client.ended(1.5)

    # The application is told by its `send` where a client has left.
    async with serving(Site(), may_fail=True, limits=limits, timeout_keep_alive=0.2) as lab:
        streams = [mutated(random) for _ in range(250)]
        await asyncio.gather(
            *[visit(stream, random.randint(0, len(stream)), random.random() < 0.3) for stream in streams]
        )
        await lab.is_empty()
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]
