"""Which servers run: one of each kind for tests that change nothing, others by their settings."""

import itertools
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

from tests.servers.databases import QUICK, Databases, base_environment
from tests.servers.orm import OrmShell
from tests.servers.process import ServerProcess
from tests.servers.valkey import Valkey

METRICS_TOKEN = "metrics-bearer-for-tests"


@dataclass
class Site:
    """A database, perhaps a Valkey, the servers on them, and a shell beside them."""

    # "serve": ours on SQLite and memory; "daphne": `runserver`, same; "scaled": ours on PostgreSQL and Valkey.
    kind: str
    env: dict[str, str]
    servers: list[ServerProcess]
    orm: OrmShell
    valkey: Valkey | None = None
    logins: dict[str, tuple[float, str]] = field(default_factory=dict)

    @property
    def server(self) -> ServerProcess:
        """The first of its servers."""
        return self.servers[0]

    def tell_to_end(self) -> None:
        """SIGTERM to its servers; `close` waits for what comes of it."""
        for server in self.servers:
            server.tell_to_end()

    def close(self) -> None:
        """End everything; the log of each server must be clean and its exit code 0."""
        self.tell_to_end()
        codes: list[int] = []
        try:
            for server in self.servers:
                if server.process.poll() is None:
                    code = server.stop()
                    codes.append(0 if server.kind == "daphne" else code)
        finally:
            for server in self.servers:
                server.kill()
            self.orm.close()
            if self.valkey is not None:
                self.valkey.stop()
        assert not any(codes), f"servers ended with {codes} after SIGTERM:\n{self.server.log()[-4000:]}"


def close_all(sites: Collection[Site]) -> None:
    """End them side by side: half a second of work each."""
    faults: list[AssertionError] = []
    for site in sites:
        site.tell_to_end()
    for site in sites:
        try:
            site.close()
        except AssertionError as fault:
            faults.append(fault)
    if faults:
        raise faults[0]


class SitePool:
    """Makes sites. Those asked for with `shared` are kept until `close`."""

    def __init__(self, folder: Path, databases: Databases) -> None:
        self._folder = folder
        self._databases = databases
        self._numbers = itertools.count(1)
        self._shared: dict[str, Site] = {}

    def shared(self, kind: str) -> Site:
        """The site of `kind` with default settings."""
        if kind not in self._shared:
            self._shared[kind] = self.start(kind)
        return self._shared[kind]

    def start(self, kind: str, env: dict[str, str] | None = None, *, servers: int = 1) -> Site:
        """A new site of `kind` with the settings `env`; whoever asked closes it."""
        valkey = self._start_valkey() if kind == "scaled" or servers > 1 else None
        database = self._databases.postgres() if kind == "scaled" else self._databases.sqlite()
        settings = base_environment() | QUICK | {"METRICS_TOKEN": METRICS_TOKEN, "DATABASE_URL": database}
        settings |= {"REDIS_URL": valkey.url if valkey else ""} | (env or {})
        number = next(self._numbers)
        processes = [
            ServerProcess(
                "daphne" if kind == "daphne" else "serve",
                settings,
                self._folder / f"server-{number}-{index}.log",
            )
            for index in range(servers)
        ]
        site = Site(kind, settings, processes, OrmShell(settings, self._folder / f"orm-{number}.log"), valkey)
        try:
            for process in processes:
                process.launch()
            for process in processes:
                process.wait_until_ready()
        except BaseException:
            for process in processes:
                process.kill()
            if valkey is not None:
                valkey.stop()
            raise
        return site

    def close(self) -> None:
        """End the shared sites."""
        close_all(self._shared.values())
        self._shared.clear()

    def _start_valkey(self) -> Valkey:
        valkey = Valkey()
        valkey.start()
        return valkey
