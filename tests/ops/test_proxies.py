"""Real proxies in front of the real server: signing in and opening a socket through each, on a TLS port of its own.

nginx, HAProxy and Caddy run as docs/production.md writes them, and nginx also with the two omissions that people make.
"""

import contextlib
import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest
from websockets.sync.client import connect

from tests.docs.pages import ROOT, blocks
from tests.e2e.visitor import PASSWORD, csrf_of
from tests.servers.certificate import make_certificate
from tests.servers.nginx import running, trusting
from tests.servers.pool import Site, SitePool
from tests.servers.ports import free_port
from tests.servers.process import HOST

pytestmark = pytest.mark.servers
START_TIMEOUT_S = 10.0


class Ports(NamedTuple):
    """TLS ports of proxies: the site names the first two among its origins, and not the last."""

    stripped: int
    silent: int
    unknown: int


@pytest.fixture(scope="module")
def ports() -> Ports:
    """Free ones, known before the server starts."""
    return Ports(free_port(), free_port(), free_port())


@pytest.fixture(scope="module")
def site(site_pool: SitePool, ports: Ports) -> Iterator[Site]:
    """A server behind proxies of this machine."""
    origins = ",".join(f"https://{HOST}:{port}" for port in ports[:2])
    env = {"REALTIME_TRUSTED_PROXIES": "127.0.0.1", "HTTPS": "1", "REALTIME_ALLOWED_ORIGINS": origins}
    made = site_pool.start("serve", env)
    yield made
    made.close()


def sign_in(site: Site, port: int) -> tuple[httpx.Response, str]:
    """Sign in as a browser does through the proxy on `port`: the answer, and the session's cookie if there is one."""
    origin = f"https://{HOST}:{port}"
    with httpx.Client(
        base_url=f"https://127.0.0.1:{port}",
        headers={"Host": f"{HOST}:{port}"},
        verify=False,
        trust_env=False,
    ) as browser:
        page = browser.get("/accounts/login/")
        assert page.status_code == 200, page.text[:500]
        form = {"username": "alice", "password": PASSWORD, "csrfmiddlewaretoken": csrf_of(page)}
        answer = browser.post("/accounts/login/", data=form, headers={"Origin": origin})
        key = browser.cookies.get("__Host-sessionid", "")
    return answer, f"__Host-sessionid={site.server.keep_secret(key)}" if key else ""


def first_words(port: int, path: str, headers: dict[str, str], origin: str | None = None) -> str:
    """Open a socket through the proxy on `port` and return its first message."""
    with (
        socket.create_connection(("127.0.0.1", port), timeout=5) as connection,
        connect(
            f"wss://{HOST}:{port}{path}",
            sock=connection,
            ssl=trusting(),
            additional_headers=headers,
            origin=origin,  # type: ignore[arg-type] # a plain string will do
            proxy=None,
        ) as opened,
    ):
        return str(opened.recv(5))


def assert_works(site: Site, port: int) -> None:
    """A user behind the proxy on `port` can sign in and open a socket."""
    answer, cookie = sign_in(site, port)
    assert (answer.status_code, answer.headers["location"]) == (302, "/chat/")
    said = first_words(port, "/ws/session/", {"Cookie": cookie}, f"https://{HOST}:{port}")
    assert '"alice"' in said


def changed(port: int, old: str, new: str) -> Callable[[str], str]:
    """The documented nginx on `port`, with `old` for `new` wherever it stands."""

    def change(text: str) -> str:
        assert old in text
        return re.sub(
            r"listen 127\.0\.0\.1:\d+ ssl;", f"listen 127.0.0.1:{port} ssl;", text.replace(old, new)
        )

    return change


def test_the_documented_nginx_on_a_port_of_its_own(site: Site, tmp_path: Path) -> None:
    with running(tmp_path, site.server.port) as nginx:
        assert_works(site, nginx.secure_port)


def test_nginx_that_strips_the_port(site: Site, ports: Ports, tmp_path: Path) -> None:
    with running(tmp_path, site.server.port, changed(ports.stripped, "$http_host", "$host")):
        assert_works(site, ports.stripped)


def test_nginx_that_does_not_say_https(site: Site, ports: Ports, tmp_path: Path) -> None:
    header = "proxy_set_header X-Forwarded-Proto $scheme;"
    with running(tmp_path, site.server.port, changed(ports.silent, header, "")):
        assert_works(site, ports.silent)


def test_an_address_that_the_site_does_not_know_is_named(site: Site, ports: Ports, tmp_path: Path) -> None:
    with running(tmp_path, site.server.port, changed(ports.unknown, "$http_host", "$host")):
        answer, cookie = sign_in(site, ports.unknown)
    assert (answer.status_code, cookie) == (403, "")
    for told in (f"https://{HOST}:{ports.unknown}", "does not pass on the port", "REALTIME_ALLOWED_ORIGINS"):
        assert told in answer.text


def found(program: str) -> str:
    """Where a proxy is; the test is skipped without it."""
    path = os.environ.get(program.upper()) or shutil.which(program)
    if path is None:
        pytest.skip(
            f"No {program} was found: install it (Debian: {program}), or name it in ${program.upper()}."
        )
    return path


@contextlib.contextmanager
def haproxy(folder: Path, upstream: int) -> Iterator[tuple[int, Path]]:
    """The HAProxy of the page before a server on the port `upstream`: its TLS port, and its log."""
    path = found("haproxy")
    [block] = blocks(ROOT / "docs" / "production.md", "haproxy")
    port, plain = free_port(), free_port()
    make_certificate(folder, f"DNS:{HOST}")
    both = folder / "both.pem"
    both.write_text((folder / "fullchain.pem").read_text() + (folder / "privkey.pem").read_text())
    text = block.text
    for pattern, ours in (
        (r"maxconn \d+", "maxconn 1000"),
        (r"bind :443 ", f"bind 127.0.0.1:{port} "),
        (r"bind :80\b", f"bind 127.0.0.1:{plain}"),
        (r"127\.0\.0\.1:8000", f"127.0.0.1:{upstream}"),
        (r"/etc/haproxy/chat\.example\.com\.pem", str(both)),
    ):
        text, count = re.subn(pattern, ours, text)
        assert count, f"{block} has no {pattern}"
    config, log = folder / "haproxy.cfg", folder / "haproxy.log"
    config.write_text(text)
    with started([path, "-W", "-db", "-f", str(config)], port, log):
        yield port, log


@contextlib.contextmanager
def started(
    command: list[str], port: int, output: Path, env: Mapping[str, str] | None = None
) -> Iterator[None]:
    """A proxy that runs until the end of the block, and writes to `output`."""
    with output.open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=env)
    try:
        wait_until_served(port, process, output)
        yield
    finally:
        process.terminate()
        process.wait(10)


def wait_until_served(port: int, process: "subprocess.Popen[bytes]", log: Path) -> None:
    """Until the proxy answers. HAProxy does when its own check of `/readyz`, which sends no `Host`, has passed."""
    ends_s = time.monotonic() + START_TIMEOUT_S
    while True:
        with contextlib.suppress(httpx.TransportError):
            url, headers = f"https://127.0.0.1:{port}/healthz", {"Host": HOST}
            if httpx.get(url, headers=headers, verify=False, trust_env=False).status_code == 200:
                return
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < ends_s, log.read_text()
        time.sleep(0.05)


def test_the_documented_haproxy(site: Site, tmp_path: Path) -> None:
    token = "eyJhbGciOiJIUzI1NiJ9.forged.c2VjcmV0"
    with haproxy(tmp_path, site.server.port) as (port, log):
        assert_works(site, port)
        url = f"https://127.0.0.1:{port}/ws/secure/?token={token}"
        assert (
            httpx.get(url, headers={"Host": f"{HOST}:{port}"}, verify=False, trust_env=False).status_code
            == 426
        )
        # The client's real address, not the one that it claims.
        said = first_words(port, "/ws/managed/", {"X-Forwarded-For": "198.51.100.9"})
        assert "198.51.100.9" not in said
    written = log.read_text()
    assert '"GET /ws/secure/" 426' in written
    assert "forged" not in written
    # The check found the server in order all the time.
    assert "DOWN" not in written


@contextlib.contextmanager
def caddy(folder: Path, upstream: int) -> Iterator[tuple[int, Path]]:
    """The Caddy of the page before a server on the port `upstream`: its TLS port, and its access log."""
    path, port, log = found("caddy"), free_port(), folder / "access.log"
    [block] = blocks(ROOT / "docs" / "production.md", "caddyfile")
    make_certificate(folder, f"DNS:{HOST}")
    certificate = f"tls {folder}/fullchain.pem {folder}/privkey.pem"
    text = block.text
    for written, ours in (
        ("{\n", f"{{\n\tadmin off\n\tauto_https disable_redirects\n\tdefault_sni {HOST}\n"),
        ("chat.example.com {", f"https://{HOST}:{port} {{\n\tbind 127.0.0.1\n\t{certificate}\n"),
        ("127.0.0.1:8000", f"127.0.0.1:{upstream}"),
        ("/var/log/caddy/rockstar.log", str(log)),
    ):
        assert written in text, f"{block} has no {written}"
        text = text.replace(written, ours, 1)
    config, told = folder / "Caddyfile", folder / "caddy.log"
    config.write_text(text)
    # Its own files, such as an identifier, belong here too.
    homes = dict.fromkeys(("HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME"), str(folder))
    command = [path, "run", "--config", str(config), "--adapter", "caddyfile"]
    with started(command, port, told, env=os.environ | homes):
        yield port, log


def test_the_documented_caddy(site: Site, tmp_path: Path) -> None:
    token = "eyJhbGciOiJIUzI1NiJ9.forged.c2VjcmV0"
    with caddy(tmp_path, site.server.port) as (port, log):
        assert_works(site, port)
        url, headers = f"https://127.0.0.1:{port}/ws/secure/", {"Host": f"{HOST}:{port}"}
        offered = headers | {"Sec-WebSocket-Protocol": f"rockstar.v1, bearer.{token}"}
        for query, sent in (("?token=" + token, headers), ("?ticket=" + token, headers), ("", offered)):
            assert httpx.get(url + query, headers=sent, verify=False, trust_env=False).status_code == 426
        said = first_words(port, "/ws/managed/", {"X-Forwarded-For": "198.51.100.9"})
        assert "198.51.100.9" not in said
    written = log.read_text()
    assert '"uri":"/ws/secure/?token=REDACTED"' in written
    assert "forged" not in written
