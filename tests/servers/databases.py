"""Databases with the demo data, made once per backend and copied for each server."""

import fcntl
import itertools
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from tests.servers.postgres import Postgres

REPOSITORY = Path(__file__).resolve().parents[2]
SECRET_KEY = "a-key-for-tests-only-0123456789-abcdefghijklmnop"
RUN_TIMEOUT_S = 120.0
# The settings of servers under test: the project's, with passwords that hash at no cost.
QUICK = {"DJANGO_SETTINGS_MODULE": "tests.settings"}


def base_environment() -> dict[str, str]:
    """The environment of every process of the suite, without the caller's own settings."""
    # The last one is set where coverage is measured.
    names = ("PATH", "HOME", "LANG", "TMPDIR", "COVERAGE_PROCESS_CONFIG")
    kept = {name: os.environ[name] for name in names if name in os.environ}
    return kept | {"DEBUG": "1", "SECRET_KEY": SECRET_KEY, "REDIS_URL": "", "PYTHONUNBUFFERED": "1"}


def run_python(*arguments: str, env: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    """Run Python in the repository to its end, whatever its exit code."""
    return subprocess.run(
        [sys.executable, *arguments],
        env=env,
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=RUN_TIMEOUT_S,
        check=False,
    )


def run_manage(*arguments: str, env: dict[str, str]) -> str:
    """Run `manage.py` to its end and return its output; fails with it when the exit code is not 0."""
    done = run_python("manage.py", *arguments, env=env)
    output = done.stdout + done.stderr
    assert done.returncode == 0, f"manage.py {' '.join(arguments)} exited with {done.returncode}:\n{output}"
    return output


class Databases:
    """Hands out fresh, migrated and seeded databases by URL."""

    def __init__(self, folder: Path, *, templates: Path | None = None) -> None:
        """`templates` may be shared by several processes; each has its own `folder`."""
        self._folder = folder
        self._templates = templates or folder
        self._numbers = itertools.count(1)
        self._postgres: Postgres | None = None

    def sqlite(self) -> str:
        """A fresh SQLite database."""
        copy = self._folder / f"database-{next(self._numbers)}.sqlite3"
        shutil.copyfile(self._template("sqlite3", _fill_sqlite), copy)
        return f"sqlite:///{copy}"

    def postgres(self) -> str:
        """A fresh PostgreSQL database."""
        server = self.postgres_server()
        return server.create(f"database_{next(self._numbers)}", template="rockstar_template")

    def postgres_server(self) -> Postgres:
        """The PostgreSQL behind it, started at first use."""
        if self._postgres is None:
            template = self._template("postgres", _fill_postgres)
            self._postgres = Postgres()
            self._postgres.start(template)
        return self._postgres

    def _template(self, name: str, fill: Callable[[Path], None]) -> Path:
        """What `fill` makes at a path, once for all processes."""
        template, filling = self._templates / name, self._templates / f"{name}.filling"
        with (self._templates / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not template.exists():
                fill(filling)
                filling.rename(template)
        return template

    def close(self) -> None:
        """End the PostgreSQL, if there is one."""
        if self._postgres is not None:
            self._postgres.stop()


def _fill_sqlite(path: Path) -> None:
    _fill(f"sqlite:///{path}")


def _fill_postgres(path: Path) -> None:
    server = Postgres()
    try:
        server.start()
        _fill(server.create("rockstar_template"))
        server.keep(path)
    finally:
        server.stop()


def _fill(url: str) -> None:
    env = base_environment() | QUICK | {"DATABASE_URL": url}
    run_manage("migrate", "--verbosity", "0", env=env)
    run_manage("seed_demo", env=env)
