"""`serve` with workers: addresses of both families, proxies, the death of a worker, and a database without tables."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from websockets.sync.client import connect

from tests.servers.databases import QUICK, REPOSITORY, Databases, base_environment, run_manage
from tests.servers.ports import free_port
from tests.servers.process import HOST, ServerProcess

pytestmark = pytest.mark.servers
CLIENT = "198.51.100.7"
OPTIONS = ("--host", "::", "--trusted-proxies", "::ffff:127.0.0.1,::1")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, databases: Databases) -> Iterator[ServerProcess]:
    """Two workers on every address, behind proxies on this machine."""
    env = base_environment() | QUICK | {"DATABASE_URL": databases.sqlite()}
    log = tmp_path_factory.mktemp("workers") / "server.log"
    made = ServerProcess("serve", env, log, workers=2, options=OPTIONS)
    made.start()
    yield made
    assert made.terminate() == 0


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_both_families_and_their_proxies(server: ServerProcess, address: str) -> None:
    with (
        socket.create_connection((address, server.port)) as connection,
        connect(
            f"ws://{HOST}:{server.port}/ws/managed/",
            sock=connection,
            additional_headers={"X-Forwarded-For": CLIENT},
            proxy=None,
        ) as opened,
    ):
        assert f'"{CLIENT}' in str(opened.recv(5))


def test_a_dead_worker_is_named_and_replaced(server: ServerProcess) -> None:
    pids = children(server.process.pid)
    os.kill(pids[0], signal.SIGKILL)
    line = wait_for(server, rf"Worker {pids[0]} was ended by signal 9 \(SIGKILL\); worker (\d+) replaces it")
    assert int(line[1]) in children(server.process.pid)
    assert httpx.get(f"http://127.0.0.1:{server.port}/healthz", trust_env=False).status_code == 200


def children(pid: int) -> list[int]:
    """The workers of a supervisor; not the process that watches over semaphores."""
    found = []
    for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        command = Path(f"/proc/{each}/cmdline").read_bytes()
        if b"spawn_main" in command:
            found.append(int(each))
    return found


def wait_for(server: ServerProcess, pattern: str) -> re.Match[str]:
    deadline_s = time.monotonic() + 20
    while not (found := re.search(pattern, server.log())):
        assert time.monotonic() < deadline_s, server.log()[-2000:]
        time.sleep(0.05)
    return found


def serve(env: dict[str, str], *options: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, str(REPOSITORY / "manage.py"), "serve", "--port", str(free_port()), *options],
        env=env,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(("migrated", "workers"), [("nothing", "2"), ("chat 0001", "1")])
def test_a_database_without_its_tables_ends_the_start(tmp_path: Path, migrated: str, workers: str) -> None:
    env = base_environment() | QUICK | {"DATABASE_URL": f"sqlite:///{tmp_path}/db.sqlite3"}
    if migrated != "nothing":
        run_manage("migrate", *migrated.split(), "--verbosity", "0", env=env)
    done = serve(env, "--workers", workers)
    assert done.returncode == 1
    assert done.stdout == ""
    [line] = done.stderr.splitlines()
    assert re.search(r"lacks \d+ migration\(s\)\. Run: manage\.py migrate", line)


def test_a_port_in_use_is_one_line(databases: Databases) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        env = base_environment() | QUICK | {"DATABASE_URL": databases.sqlite()}
        done = serve(env, "--port", str(taken.getsockname()[1]))
    assert done.returncode == 1
    [line] = done.stderr.splitlines()
    assert "Address already in use" in line
