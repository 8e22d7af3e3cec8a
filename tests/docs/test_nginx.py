"""The nginx of deploy/, really run: sockets go through it past a node that is away, and no log has a credential."""

import asyncio
import contextlib
import os
import re
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidURI

from chat.files.settings import FileSettings
from tests.docs.pages import ROOT
from tests.e2e.visitor import Visitor
from tests.prepare import find_nginx
from tests.servers.pool import Site, SitePool
from tests.servers.ports import free_port

CONFIGURATION = ROOT / "deploy" / "nginx" / "rockstar.conf"
HOST = "acme.localhost"
START_TIMEOUT_S = 10.0
STOP_TIMEOUT_S = 10.0
# The page allows a burst of 100 and 20 a second.
TOO_MANY = 140
MAIN = """
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/main.error.log;
worker_processes 1;
events {{ worker_connections 1024; }}
http {{
    access_log {folder}/main.access.log;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/rockstar.conf;
}}
"""


@dataclass
class Nginx:
    """A running one."""

    folder: Path
    secure_port: int
    plain_port: int

    def logs(self) -> dict[str, str]:
        """What it wrote, by file."""
        return {path.name: path.read_text() for path in self.folder.glob("*.log")}


def documented(folder: Path, upstream: int) -> tuple[str, int, int]:
    """The configuration with this machine's ports and paths, and nothing else changed."""
    secure, plain = free_port(), free_port()
    text = re.sub(r"(?m)^#.*$", "", CONFIGURATION.read_text())
    for pattern, ours in (
        (r"listen 443 ssl;", f"listen 127.0.0.1:{secure} ssl;"),
        (r"listen 80;", f"listen 127.0.0.1:{plain};"),
        (r"server 127\.0\.0\.1:8000 ", f"server 127.0.0.1:{upstream} "),
        (r"chat\.example\.com;", f"{HOST};"),
        (r"/etc/letsencrypt/live/chat\.example\.com/", f"{folder}/"),
        (r"/var/log/nginx/", f"{folder}/"),
    ):
        text, count = re.subn(pattern, ours, text)
        assert count, f"{CONFIGURATION} has no {pattern}"
    assert "/var/" not in text
    assert "/etc/" not in text
    return text, secure, plain


def make_certificate(folder: Path) -> None:
    """A certificate of its own for HOST."""
    keys, names = folder / "privkey.pem", f"/CN={HOST} -addext subjectAltName=DNS:{HOST}"
    curve = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2"
    command = f"openssl req -x509 {curve} -keyout {keys} -out {folder}/fullchain.pem -subj {names}"
    subprocess.run(
        command.split(),
        check=True,
        capture_output=True,
    )


@contextlib.contextmanager
def running(folder: Path, upstream: int, change: Callable[[str], str] = lambda text: text) -> Iterator[Nginx]:
    """Run the documented nginx before a server on the port `upstream`, changed by `change`."""
    path = find_nginx()
    if path is None:
        reason = "No nginx was found: install it (Debian: nginx-light), or name it in $NGINX."
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    make_certificate(folder)
    text, secure, plain = documented(folder, upstream)
    (folder / "rockstar.conf").write_text(change(text))
    main = folder / "nginx.conf"
    # Root's workers are another user, who must be able to write here.
    user = "user root;\n" if os.geteuid() == 0 else ""
    main.write_text(user + MAIN.format(folder=folder))
    process = subprocess.Popen(
        [path, "-p", str(folder), "-c", str(main), "-e", str(folder / "start.error.log")],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        ends_s = time.monotonic() + START_TIMEOUT_S
        while not (folder / "nginx.pid").exists():
            assert process.poll() is None, (folder / "start.error.log").read_text()
            assert time.monotonic() < ends_s, "nginx does not start"
            time.sleep(0.05)
        yield Nginx(folder, secure, plain)
    finally:
        process.terminate()
        process.wait(STOP_TIMEOUT_S)


@pytest.fixture(scope="module")
def site(site_pool: SitePool) -> Iterator[Site]:
    """A server that trusts the proxy."""
    made = site_pool.start("serve", {"REALTIME_TRUSTED_PROXIES": "127.0.0.1", "HTTPS": "1"})
    yield made
    made.close()


def trusting() -> ssl.SSLContext:
    """What takes any certificate."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


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
