"""What servers keep things in: SQLite files, one PostgreSQL and one Valkey, on the load's core."""

import itertools
from pathlib import Path

from bench.cores import LOAD_CORE
from bench.servers.process import on_core
from tests.servers.postgres import Postgres
from tests.servers.valkey import Valkey


class Backends:
    """Starts each at first use; `close` ends them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._numbers = itertools.count(1)
        self._postgres: Postgres | None = None
        self._valkeys: list[Valkey] = []

    def sqlite(self) -> Path:
        """The path of a database that is not there yet."""
        return self.folder / f"database-{next(self._numbers)}.sqlite3"

    def postgres(self, template: str = "template1") -> str:
        """The URL of a new database, a copy of `template`."""
        if self._postgres is None:
            # As it is installed: durable. A commit is on the disk before it is answered.
            self._postgres = Postgres(options=("max_connections=100",))
            with on_core(LOAD_CORE):
                self._postgres.start()
        return self._postgres.create(f"bench_{next(self._numbers)}", template=template)

    def valkey(self) -> str:
        """The URL of a new Valkey: pub/sub is one name space, so each server has its own."""
        valkey = Valkey()
        with on_core(LOAD_CORE):
            valkey.start()
        self._valkeys.append(valkey)
        return valkey.url

    def close(self) -> None:
        """End what was started."""
        for valkey in self._valkeys:
            valkey.stop()
        if self._postgres is not None:
            self._postgres.stop()
