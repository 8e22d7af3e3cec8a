"""Starting and ending processes on a given core."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.cores import LOAD_CORE, SERVER_CORE

REPOSITORY = Path(__file__).resolve().parents[2]
START_TIMEOUT_S = 40.0
STOP_TIMEOUT_S = 10.0
LOG_TAIL_CHARS = 2000


class MissingPeerError(Exception):
    """A peer cannot be had here; the message says what it would take."""


@dataclass
class Server:
    """A running server: one process or several, all on the server's core."""

    ports: list[int]
    processes: list["subprocess.Popen[bytes]"]
    log: Path
    tokens: list[str] = field(default_factory=list)
    room_id: int = 0
    # Where that is PostgreSQL.
    database_url: str = ""
    redis_url: str = ""

    @property
    def pids(self) -> list[int]:
        """The processes that were started; what they started themselves descends from them."""
        return [process.pid for process in self.processes]

    def stop(self) -> None:
        """End it, and be sure of it."""
        for process in self.processes:
            end(process)

    def log_tail(self) -> str:
        """What it wrote last."""
        return self.log.read_text(errors="replace")[-LOG_TAIL_CHARS:]


@contextlib.contextmanager
def on_core(core: int) -> Iterator[None]:
    """What is started inside runs on this core only."""
    usual = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, usual)


def environment(**added: str) -> dict[str, str]:
    """What every process gets: nothing of the caller's own settings."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
    return kept | added


def start(
    command: Sequence[str], *, log: Path, env: Mapping[str, str], core: int = SERVER_CORE
) -> "subprocess.Popen[bytes]":
    """Start a process of ours on a core, in the repository's root."""
    with on_core(core), log.open("ab") as output:
        return subprocess.Popen(
            command, env=dict(env), stdout=output, stderr=output, cwd=REPOSITORY, start_new_session=True
        )


def end(process: "subprocess.Popen[bytes]") -> None:
    """SIGTERM to its session (it and what it started), then, where that is not heard, SIGKILL."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(STOP_TIMEOUT_S)
            return
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def wait_until_listening(process: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
    """Until the port takes connections; raises RuntimeError with the log's end when the process ends before."""
    deadline_s = time.monotonic() + START_TIMEOUT_S
    while not _listens(port):
        if process.poll() is not None or time.monotonic() > deadline_s:
            end(process)
            raise RuntimeError(
                f"The server on port {port} did not start:\n{log.read_text()[-LOG_TAIL_CHARS:]}"
            )
        time.sleep(0.05)


def run_python(*arguments: str, env: Mapping[str, str]) -> str:
    """Run Python on the load's core to its end; its output. Raises RuntimeError with it when it fails."""
    with on_core(LOAD_CORE):
        done = subprocess.run(
            [sys.executable, *arguments],
            env=dict(env),
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    if done.returncode:
        raise RuntimeError(f"{' '.join(arguments)} failed:\n{done.stdout}{done.stderr}"[-LOG_TAIL_CHARS:])
    return done.stdout


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False
