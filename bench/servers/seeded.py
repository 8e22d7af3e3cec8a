"""Databases of our server, migrated and seeded once and copied for each that is started."""

import json
import shutil
from dataclasses import dataclass, field

from bench.servers.backends import Backends
from bench.servers.process import environment, run_python

USERS = 100
SECRET_KEY = "a-key-for-the-benchmark-only-0123456789-abcdef"


@dataclass(frozen=True)
class Data:
    """A database by URL, and who is in it."""

    url: str
    tokens: list[str]
    room_id: int


@dataclass
class SeededDatabases:
    """Hands out databases with the demo's data and 100 members, all in one room."""

    backends: Backends
    _originals: dict[str, Data] = field(default_factory=dict)

    def copy(self, kind: str) -> Data:
        """A database of its own; `kind` is "sqlite" or "postgres"."""
        original = self._originals.get(kind)
        if original is None:
            original = self._originals[kind] = self._make(kind)
        return Data(self._copy(kind, original.url), original.tokens, original.room_id)

    def _copy(self, kind: str, url: str) -> str:
        if kind == "postgres":
            return self.backends.postgres(template=url.rpartition("/")[2])
        path = self.backends.sqlite()
        shutil.copyfile(url.removeprefix("sqlite:///"), path)
        return f"sqlite:///{path}"

    def _make(self, kind: str) -> Data:
        url = self.backends.postgres() if kind == "postgres" else f"sqlite:///{self.backends.sqlite()}"
        env = environment(
            DEBUG="0", SECRET_KEY=SECRET_KEY, DATABASE_URL=url, REDIS_URL="", ACCESS_TOKEN_LIFETIME_S="86400"
        )
        run_python("manage.py", "migrate", "--verbosity", "0", env=env)
        run_python("manage.py", "seed_demo", "--force", "--verbosity", "0", env=env)
        people = json.loads(run_python("-m", "bench.people", str(USERS), env=env))
        return Data(url, people["tokens"], people["room_id"])
