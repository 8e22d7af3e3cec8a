"""One request is one request, however the bytes are cut: its own head, its own credentials, its own answer."""

import json
from typing import Any

import pytest

from tests.server.client import Client, connect, request
from tests.server.lab import echo, serving
from tests.server.wire import TEXT, client_frame

HOST = b"Host: acme.localhost\r\n"
BEARER = b"Authorization: Bearer alice\r\n"
GET = b"GET /page HTTP/1.1\r\n" + HOST + BEARER + b"\r\n"
POST = b"POST /form HTTP/1.1\r\n" + HOST + BEARER + b"Content-Length: 5\r\n\r\nwhole"
CHUNKS = (
    b"POST /chunks HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n"
    b"2\r\nwh\r\n3\r\nole\r\n0\r\nAuthorization: Bearer eve\r\n\r\n"
)
UPGRADE = request("/secure/", sec_websocket_key="dGhlIHNhbXBsZSBub25jZQ==")
HOSTLESS = request("/secure/", sec_websocket_key="dGhlIHNhbXBsZSBub25jZQ==").replace(
    b"host: acme.localhost\r\n", b""
)


async def tell(scope: Any, receive: Any, send: Any) -> None:
    """Answers with what came of the request; a WebSocket is told by its first message, and echoes."""
    told = {
        "path": scope["path"],
        "who": [value.decode() for name, value in scope["headers"] if name == b"authorization"],
        "hosts": [value.decode() for name, value in scope["headers"] if name == b"host"],
    }
    if scope["type"] == "websocket":

        async def send_told(event: Any) -> None:
            await send(event)
            if event["type"] == "websocket.accept":
                await send({"type": "websocket.send", "text": json.dumps(told)})

        await echo(scope, receive, send_told)
        return
    body, has_more = b"", True
    while has_more:
        event = await receive()
        body, has_more = body + event["body"], event["more_body"]
    answer = json.dumps(told | {"body": body.decode()}).encode()
    headers = [(b"content-length", b"%d" % len(answer))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": answer})


async def answers(client: Client, count: int) -> list[dict[str, Any]]:
    """The next answers; of a WebSocket its first message."""
    found = []
    for _ in range(count):
        head = await client.head()
        if b" 101 " in head:
            found.append(json.loads((await client.frame())[1]))
        else:
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            found.append(json.loads(await client.reader.readexactly(length)))
    return found


def told(path: str, who: str | None = None, body: str | None = None, hosts: int = 1) -> dict[str, Any]:
    made = {"path": path, "who": [f"Bearer {who}"] if who else [], "hosts": ["acme.localhost"] * hosts}
    return made if body is None else made | {"body": body}


STREAMS: dict[str, tuple[bytes, list[dict[str, Any]]]] = {
    "two pages": (GET + GET, [told("/page", "alice", "")] * 2),
    "a page and a handshake": (GET + UPGRADE, [told("/page", "alice", ""), told("/secure/")]),
    # Who asks for the second has no host and no credential, and gets none of the first's.
    "a page and a handshake without a host": (
        GET + HOSTLESS,
        [told("/page", "alice", ""), told("/secure/", hosts=0)],
    ),
    "a form and a handshake": (POST + UPGRADE, [told("/form", "alice", "whole"), told("/secure/")]),
    "chunks and a handshake": (CHUNKS + UPGRADE, [told("/chunks", None, "whole"), told("/secure/")]),
    "all": (
        GET + POST + CHUNKS + GET + UPGRADE,
        [
            told("/page", "alice", ""),
            told("/form", "alice", "whole"),
            told("/chunks", None, "whole"),
            told("/page", "alice", ""),
            told("/secure/"),
        ],
    ),
}


@pytest.mark.parametrize("name", STREAMS)
async def test_any_cut_into_two_packets_gives_the_same_answers(name: str) -> None:
    stream, expected = STREAMS[name]
    async with serving(tell) as lab:
        for at in range(len(stream)):
            async with connect(lab.port) as client:
                if at:
                    client.send(stream[:at])
                    await client.drain()
                client.send(stream[at:])
                assert await answers(client, len(expected)) == expected, at


async def test_frames_behind_a_pipelined_handshake_are_its_own() -> None:
    async with serving(tell) as lab, connect(lab.port) as client:
        client.send(GET, UPGRADE, client_frame(TEXT, b"eager"))
        await answers(client, 2)
        assert await client.frame() == (TEXT, b"eager")


async def test_what_was_read_of_a_bad_second_request_does_not_spoil_the_first() -> None:
    async with serving(tell) as lab, connect(lab.port) as client:
        client.send(GET, b"NO HTTP\r\n\r\n")
        assert await answers(client, 1) == [told("/page", "alice", "")]
        assert (await client.answer())[0] == 400


REFUSED = {
    "HTTP/1.0": request("/").replace(b"HTTP/1.1", b"HTTP/1.0"),
    "HTTP/2.0": request("/").replace(b"HTTP/1.1", b"HTTP/2.0"),
    "a body": request("/", content_length="5") + b"whole",
    "chunks": request("/", transfer_encoding="chunked") + b"0\r\n\r\n",
    "a POST": request("/", "POST"),
    "two Upgrades": request("/").replace(b"\r\nupgrade: websocket", b"\r\nupgrade: websocket" * 2),
    "another Upgrade too": request("/").replace(b"\r\nupgrade: ", b"\r\nupgrade: h2c\r\nupgrade: "),
    "two keys": request("/", x="\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="),
    "two versions": request("/", x="\r\nSec-WebSocket-Version: 13"),
    "another host in the target": request("http://globex.localhost/ws/"),
    "another port in the target": request("http://acme.localhost:81/ws/"),
    "a name in the target": request("http://eve@acme.localhost/ws/"),
    "no path": request("*"),
    "a fragment": request("/ws/#x"),
}


@pytest.mark.parametrize("behind", [False, True])
@pytest.mark.parametrize("case", REFUSED)
async def test_a_handshake_that_is_none_is_400(case: str, behind: bool) -> None:
    async with serving(tell) as lab, connect(lab.port) as client:
        client.send(GET if behind else b"", REFUSED[case])
        if behind:
            await answers(client, 1)
        status, head, body = await client.answer()
        assert (status, json.loads(body)["error"].keys()) == (400, {"code", "message"})
        for header in (
            b"nosniff",
            b"default-src 'none'; frame-ancestors 'none'",
            b"no-store",
            b"no-referrer",
        ):
            assert header in head


@pytest.mark.parametrize(
    ("target", "host", "path"),
    [
        ("http://acme.localhost/ws/", "acme.localhost", "/ws/"),
        ("HTTP://ACME.localhost:80/ws/", "acme.localhost", "/ws/"),
        ("http://acme.localhost:8000/ws/", "acme.localhost:8000", "/ws/"),
        ("http://acme.localhost", "acme.localhost", "/"),
        ("http://acme.localhost?a=b", "acme.localhost", "/"),
    ],
)
async def test_a_target_that_names_its_own_host(target: str, host: str, path: str) -> None:
    async with serving(tell) as lab, connect(lab.port) as client:
        client.send(f"GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode(), request(target, host=host))
        assert [answer["path"] for answer in await answers(client, 2)] == [path] * 2


async def test_trailers_are_no_headers() -> None:
    async with serving(tell) as lab, connect(lab.port) as client:
        client.send(CHUNKS)
        assert await answers(client, 1) == [told("/chunks", None, "whole")]


@pytest.mark.parametrize(
    "last",
    [
        GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"),
        GET.replace(b"\r\n\r\n", b"\r\nConnection: x, Close\r\n\r\n"),
        GET.replace(b"HTTP/1.1", b"HTTP/1.0"),
    ],
)
@pytest.mark.parametrize("before", [b"", GET])
async def test_the_last_request_of_a_connection(last: bytes, before: bytes) -> None:
    async with serving(tell) as lab, connect(lab.port) as client:
        client.send(before + last)
        await answers(client, 2 if before else 1)
        assert await client.ended(2) == b""


async def test_a_connection_that_rests_is_let_go() -> None:
    async with serving(tell, timeout_keep_alive=0.2) as lab, connect(lab.port) as client:
        client.send(GET)
        await answers(client, 1)
        assert await client.ended(2) == b""
