"""A second process on a server's database: what a shell, a task or another site would do to it."""

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

from tests.servers.databases import REPOSITORY


class OrmShell:
    """Runs Python with Django set up, in a process of its own that lives on between calls."""

    def __init__(self, env: dict[str, str], log_path: Path) -> None:
        paths = [env["PYTHONPATH"]] if "PYTHONPATH" in env else []
        self._env = env | {"PYTHONPATH": os.pathsep.join([*paths, str(REPOSITORY)])}
        self._log_path = log_path
        self._process: subprocess.Popen[str] | None = None

    def run(self, code: str, **names: Any) -> Any:
        """Run `code` with `names` bound; returns what it leaves in `result` (plain JSON values)."""
        process = self._started()
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps({"code": textwrap.dedent(code), "names": names}) + "\n")
        process.stdin.flush()
        line = process.stdout.readline()
        assert line, f"The shell ended:\n{self._log_path.read_text()}"
        answer = json.loads(line)
        assert "error" not in answer, answer["error"]
        return answer["result"]

    def close(self) -> None:
        """End it, the hard way: between calls it does nothing, and to end by itself takes it half a second."""
        if self._process is None:
            return
        self._process.kill()
        self._process.communicate()
        self._process = None

    def _started(self) -> "subprocess.Popen[str]":
        if self._process is None:
            with self._log_path.open("w") as log:
                self._process = subprocess.Popen(
                    [sys.executable, str(Path(__file__).with_name("orm_worker.py"))],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    env=self._env,
                    cwd=REPOSITORY,
                    text=True,
                    start_new_session=True,
                )
        return self._process
