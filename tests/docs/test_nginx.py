"""The nginx of deploy/, really run: sockets go through it past a node that is away, and no log has a credential."""

import asyncio
import contextlib
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidURI

from chat.files.settings import FileSettings
from tests.e2e.visitor import Visitor
from tests.servers.nginx import Nginx, running, trusting
from tests.servers.pool import Site, SitePool
from tests.servers.ports import free_port
from tests.servers.process import HOST

# The page allows a burst of 100 and 20 a second.
TOO_MANY = 140


@pytest.fixture(scope="module")
def site(site_pool: SitePool) -> Iterator[Site]:
    """A server that trusts the proxy."""
    made = site_pool.start("serve", {"REALTIME_TRUSTED_PROXIES": "127.0.0.1", "HTTPS": "1"})
    yield made
    made.close()


async def many(port: int, path: str) -> bytes:
    """The answers to more requests at once than an address may send."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trusting())
    request = f"GET {path} HTTP/1.1\r\nHost: {HOST}\r\n"
    writer.write(f"{request}\r\n".encode() * TOO_MANY + f"{request}Connection: close\r\n\r\n".encode())
    async with asyncio.timeout(30):
        answers = await reader.read()
    writer.close()
    return answers


async def handshake(port: int, path: str, *, scheme: str = "wss", **options: list[str]) -> int:
    """The status of a handshake's answer; an open socket is closed at once."""
    headers = [("Authorization", value) for value in options.get("authorization", [])]
    try:
        async with connect(
            f"{scheme}://{HOST}:{port}{path}",
            host="127.0.0.1",
            port=port,
            ssl=trusting() if scheme == "wss" else None,
            additional_headers=headers,
            subprotocols=options.get("subprotocols") or None,  # type: ignore[arg-type] # plain strings will do
            open_timeout=10,
            close_timeout=2,
            proxy=None,
        ):
            return 101
    except InvalidHandshake as refused:
        answer = getattr(refused, "response", None)
        return answer.status_code if answer is not None else 0
    except (ConnectionClosed, InvalidURI, OSError):
        # A redirect to https is followed nowhere.
        return 0


async def test_no_log_of_nginx_has_a_credential(site: Site, tmp_path: Path) -> None:
    async with Visitor(site, HOST) as visitor:
        token = await visitor.token()
    forged = "eyJhbGciOiJIUzI1NiJ9.forged.c2VjcmV0"
    with running(tmp_path, site.server.port) as nginx:
        port = nginx.secure_port
        for path in ("/ws/secure/", "/ws/secure", "/ws"):
            assert await handshake(port, f"{path}?token={token}") == 101, path
        assert await handshake(port, "/ws/secure/", authorization=[f"Bearer {token}"]) == 101
        assert await handshake(port, "/ws/secure/", subprotocols=["rockstar.v1", f"bearer.{token}"]) == 101
        assert await handshake(port, f"/ws/secure/?token={forged}") == 401
        assert await handshake(port, f"/ws/secure/?ticket={forged}") == 401
        assert await handshake(port, f"/ws/nothing/?token={token}") == 404
        assert await handshake(port, "/ws/secure/", authorization=[f"Bearer {forged}"]) == 401
        await handshake(nginx.plain_port, f"/ws/secure/?token={token}", scheme="ws")
        await handshake(
            nginx.plain_port, f"/ws/secure/?token={token}", scheme="ws", authorization=["x" * 9000]
        )
        answers = await many(port, f"/ws/echo/?token={token}")
        assert answers.count(b" 429 ") == answers.count(b"Retry-After: 5\r\n") > 0
    with running_alone(tmp_path) as nginx:
        assert await handshake(nginx.secure_port, f"/ws/secure/?token={token}") == 502
    logs = nginx.logs()
    assert '"GET /ws/secure/" 101' in logs["rockstar.log"]
    assert '"GET /ws/secure/" 502' in logs["rockstar.log"]
    for name, text in logs.items():
        for secret in (token, forged, token.split(".")[2], "token=", "ticket=", "Bearer"):
            assert secret not in text, f"{name} has {secret}"


@contextlib.contextmanager
def running_alone(folder: Path) -> Iterator[Nginx]:
    """The same with no server behind it."""
    (folder / "nginx.pid").unlink(missing_ok=True)
    with running(folder, free_port()) as nginx:
        yield nginx


def test_files_that_the_chat_takes_reach_it(site: Site, tmp_path: Path) -> None:
    body = b"x" * (FileSettings().file_bytes_max + 1024)
    with (
        running(tmp_path, site.server.port) as nginx,
        httpx.Client(
            base_url=f"https://127.0.0.1:{nginx.secure_port}", headers={"host": HOST}, verify=trusting()
        ) as client,
    ):
        answers = [client.post(path, content=body) for path in ("/api/chat/files/", "/api/token/")]
    # The server asks for a credential; nginx refuses what is too large for anything else.
    assert [answer.status_code for answer in answers] == [401, 413]
    assert answers[0].json()["error"]["code"] == "unauthenticated"


async def test_a_node_that_is_away_or_drains_is_left_out(site: Site, tmp_path: Path) -> None:
    async def drain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        asked.append(1)
        writer.write(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        writer.close()

    asked: list[int] = []
    draining = await asyncio.start_server(drain, "127.0.0.1", 0)
    others = [free_port(), draining.sockets[0].getsockname()[1]]
    lines = "".join(f"server 127.0.0.1:{port} max_fails=0;\n" for port in others)
    async with draining:
        with running(tmp_path, site.server.port, lambda text: text.replace("keepalive 32;", lines)) as nginx:
            statuses = [await handshake(nginx.secure_port, "/ws/echo/") for _ in range(9)]
    assert statuses == [101] * 9
    assert asked
