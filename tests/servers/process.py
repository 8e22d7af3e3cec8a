"""This project's server as a process of its own, as somebody would start it."""

import contextlib
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from tests.servers.databases import REPOSITORY
from tests.servers.ports import free_port

START_TIMEOUT_S = 40.0
STOP_TIMEOUT_S = 20.0
LOG_TAIL_CHARS = 4000
HOST = "acme.localhost"
_FAULTS = re.compile(r"Traceback \(most recent call last\)|Task exception was never retrieved|never awaited")


class ServerProcess:
    """One server. `kind` is "serve" (uvicorn, ours) or "daphne" (`runserver`).

    Everything handed out by it in a test is remembered by `keep_secret`; none of it may show up in its log.
    """

    def __init__(
        self, kind: str, env: dict[str, str], log_path: Path, *, workers: int = 1, options: Sequence[str] = ()
    ) -> None:
        self.kind = kind
        self.env = env
        self.port = free_port()
        self.log_path = log_path
        self._workers = workers
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None
        self._secrets: set[str] = set()
        self._checked_to = 0
        self._was_told_to_end = False

    def start(self) -> None:
        """Start it and wait until `/readyz` says 200."""
        self.launch()
        self.wait_until_ready()

    def launch(self) -> None:
        """Start it, and go on meanwhile."""
        self._checked_to = 0
        self._was_told_to_end = False
        with self.log_path.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, str(REPOSITORY / "manage.py"), *self._arguments()],
                env=self.env,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.log_path.parent,
                start_new_session=True,
            )

    def wait_until_ready(self) -> None:
        """Until `/readyz` says 200; fails with its log where that does not come."""
        deadline_s = time.monotonic() + START_TIMEOUT_S
        while not self._is_ready():
            if self.process.poll() is not None:
                raise AssertionError(
                    f"The server ended with {self.process.returncode}:\n{self.log()[-LOG_TAIL_CHARS:]}"
                )
            if time.monotonic() > deadline_s:
                self.kill()
                raise AssertionError(
                    f"The server was not ready within {START_TIMEOUT_S} s:\n{self.log()[-LOG_TAIL_CHARS:]}"
                )
            time.sleep(0.05)

    def stop(self) -> int:
        """End it by SIGTERM and return its exit code; fails when it does not end, or its log is not clean."""
        code = self.terminate()
        self.check_log()
        return code

    def tell_to_end(self) -> None:
        """SIGTERM, once; `stop` waits for what comes of it."""
        if self.process.poll() is None and not self._was_told_to_end:
            self.process.send_signal(signal.SIGTERM)
        self._was_told_to_end = True

    def terminate(self) -> int:
        """SIGTERM, and its exit code. Safe to call again."""
        process = self.process
        self.tell_to_end()
        try:
            return process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise AssertionError(
                f"The server did not end within {STOP_TIMEOUT_S} s:\n{self.log()[-LOG_TAIL_CHARS:]}"
            ) from None

    def kill(self) -> None:
        """End it the hard way; nothing is checked."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    @property
    def process(self) -> "subprocess.Popen[bytes]":
        """The process; it must have been started."""
        assert self._process is not None
        return self._process

    @property
    def refuses_by_http(self) -> bool:
        """Whether this server can answer a handshake with an HTTP status and a body."""
        return self.kind != "daphne"

    def log(self) -> str:
        """All it has written so far."""
        return self.log_path.read_text(errors="replace")

    def keep_secret(self, secret: str) -> str:
        """Remember `secret`: it must never be in the log. Returns it."""
        assert len(secret) >= 8, "too short to be a secret"
        self._secrets.add(secret)
        return secret

    def check_log(self) -> None:
        """Fail when what was written since the last check holds a traceback, or a secret."""
        text = self.log()
        fresh = text[self._checked_to :]
        self._checked_to = len(text)
        found = _FAULTS.search(fresh)
        assert found is None, (
            f"The server's log is not clean:\n{fresh[max(found.start() - 1000, 0) :][:6000]}"
        )
        for secret in self._secrets:
            at = fresh.find(secret)
            assert at < 0, f"A secret is in the server's log: …{fresh[max(at - 200, 0) : at]}<the secret>"

    def forget_faults(self) -> None:
        """What is in the log so far was meant to be there."""
        self._checked_to = len(self.log())

    def _arguments(self) -> list[str]:
        if self.kind == "daphne":
            return ["runserver", f"127.0.0.1:{self.port}", "--noreload"]
        workers = ["--workers", str(self._workers)] if self._workers > 1 else []
        return ["serve", "--host", "127.0.0.1", "--port", str(self.port), *workers, *self._options]

    def _is_ready(self) -> bool:
        # Not by httpx: it is asked every 50 ms, while the server has better use for the processor.
        with (
            contextlib.suppress(OSError, HTTPException),
            contextlib.closing(HTTPConnection("127.0.0.1", self.port, timeout=2)) as connection,
        ):
            connection.request("GET", "/readyz", headers={"Host": f"{HOST}:{self.port}"})
            return connection.getresponse().status == 200
        return False
