"""The peers, each as its own documentation starts it, compression and access log off."""

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import dj_database_url

from bench.servers.backends import Backends
from bench.servers.process import (
    REPOSITORY,
    MissingPeerError,
    Server,
    environment,
    run_python,
    start,
    wait_until_listening,
)
from bench.servers.seeded import SeededDatabases
from tests.servers.ports import free_port

PEERS = REPOSITORY / "bench" / "peers"
NCHAN_MODULES = (
    Path("/usr/lib/nginx/modules/ngx_nchan_module.so"),
    Path("/usr/share/nginx/modules/ngx_nchan_module.so"),
)


@dataclass(frozen=True)
class Node:
    """A script of bench/peers, on Node: the wheel's in this environment, else the system's."""

    script: str

    def start(self, databases: SeededDatabases, label: str) -> Server:
        """Listening."""
        if not (PEERS / "node_modules" / "ws").exists():
            raise MissingPeerError("bench/peers/node_modules is not there (`npm ci` in bench/peers).")
        port, log = free_port(), databases.backends.folder / f"{label}.log"
        env = environment(NODE_ENV="production")
        process = start([node(), str(PEERS / self.script), str(port)], log=log, env=env)
        wait_until_listening(process, port, log)
        return Server([port], [process], log)


@dataclass(frozen=True)
class Nchan:
    """nginx with Debian's nchan module, one worker."""

    def start(self, databases: SeededDatabases, label: str) -> Server:
        """Listening."""
        nginx, module = nginx_program(), next((path for path in NCHAN_MODULES if path.exists()), None)
        if nginx is None or module is None:
            raise MissingPeerError(
                "nginx with nchan is not installed (Debian: apt-get install libnginx-mod-nchan)."
            )
        folder = databases.backends.folder
        port, log, home = free_port(), folder / f"{label}.log", folder / label
        home.mkdir()
        text = (PEERS / "nchan.conf").read_text()
        for name, value in {"@MODULE@": module, "@HOME@": home, "@PORT@": port}.items():
            text = text.replace(name, str(value))
        (home / "nginx.conf").write_text(text)
        command = [nginx, "-p", str(home), "-c", str(home / "nginx.conf"), "-e", "stderr"]
        process = start(command, log=log, env=environment())
        wait_until_listening(process, port, log)
        return Server([port], [process], log)


@dataclass(frozen=True)
class UsualChannels:
    """The site of bench/peers/channels_site.py on uvicorn."""

    has_valkey: bool = False
    database: str = "sqlite"
    processes: int = 1

    def start(self, databases: SeededDatabases, label: str) -> Server:
        """With its table, and listening."""
        backends = databases.backends
        log, ports = backends.folder / f"{label}.log", [free_port() for _ in range(self.processes)]
        env = environment(
            REDIS_URL=backends.valkey() if self.has_valkey else "",
            DATABASE=json.dumps(self._database(backends)),
        )
        run_python("-m", "bench.peers.channels_table", env=env)
        processes = [start(self._command(port), log=log, env=env) for port in ports]
        for process, port in zip(processes, ports, strict=True):
            wait_until_listening(process, port, log)
        return Server(ports, processes, log)

    def _database(self, backends: Backends) -> dict[str, object]:
        """The options that our own settings give each database."""
        if self.database == "postgres":
            return dict(dj_database_url.parse(backends.postgres())) | {"OPTIONS": {"pool": {"max_size": 16}}}
        options = {
            "transaction_mode": "IMMEDIATE",
            "timeout": 20,
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
        }
        return {"ENGINE": "django.db.backends.sqlite3", "NAME": str(backends.sqlite()), "OPTIONS": options}

    def _command(self, port: int) -> list[str]:
        options = ["--loop", "uvloop", "--http", "httptools", "--ws", "websockets-sansio"]
        options += ["--ws-per-message-deflate", "false", "--no-access-log", "--log-level", "warning"]
        options += ["--lifespan", "off", "--backlog", "4096", "--port", str(port)]
        return [sys.executable, "-m", "uvicorn", *options, "bench.peers.channels_site:application"]


def node() -> str:
    """The path of Node."""
    beside = Path(sys.executable).parent / "node"
    found = str(beside) if beside.exists() else shutil.which("node")
    if found is None:
        raise MissingPeerError("Node is not installed.")
    return found


def nginx_program() -> str | None:
    """The path of nginx; None where there is none."""
    return shutil.which("nginx") or next((str(p) for p in [Path("/usr/sbin/nginx")] if p.exists()), None)


def versions() -> dict[str, str]:
    """The versions of the peers that are here."""
    found: dict[str, str] = {}
    for package in ("ws", "socket.io", "bufferutil"):
        path = PEERS / "node_modules" / package / "package.json"
        if path.exists():
            found[package] = json.loads(path.read_text())["version"]
    if found:
        found["node"] = _said_by(node(), "--version").lstrip("v")
    if nginx := nginx_program():
        found["nginx"] = _said_by(nginx, "-v").rpartition("/")[2]
    return found


def _said_by(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    return (done.stdout + done.stderr).strip()
