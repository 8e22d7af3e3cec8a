"""Our server, as its users start it: `manage.py serve`, everything switched on."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field

from bench.servers.process import REPOSITORY, Server, environment, start, wait_until_listening
from bench.servers.seeded import SECRET_KEY, SeededDatabases
from tests.servers.ports import free_port

# A client of the echo sends more than a connection may by default; the limiter stays at work, out of reach.
RAISED = {
    "REALTIME_MESSAGES_PER_S": "10000000",
    "REALTIME_MESSAGES_BURST": "20000000",
    "REALTIME_BYTES_PER_S": "10000000000",
    "REALTIME_BYTES_BURST": "20000000000",
}
# The whole load comes from one address, and often from one user.
CROWD = {"REALTIME_MAX_CONNECTIONS_PER_IP": "20000", "REALTIME_MAX_CONNECTIONS_PER_USER": "20000"}


@dataclass(frozen=True)
class Ours:
    """One way to run it. `is_daphne`: the development server, for what our code costs on a server not ours."""

    database: str = "sqlite"
    processes: int = 1
    is_daphne: bool = False
    has_raised_limits: bool = False
    has_valkey: bool = False
    env: Mapping[str, str] = field(default_factory=dict, hash=False)

    def start(self, databases: SeededDatabases, label: str) -> Server:
        """On a database of its own, and listening."""
        backends, data = databases.backends, databases.copy(self.database)
        log = backends.folder / f"{label}.log"
        redis_url = backends.valkey() if self.processes > 1 or self.has_valkey else ""
        env = environment(
            # Daphne is the development server: it does not start without DEBUG.
            DEBUG="1" if self.is_daphne else "0",
            SECRET_KEY=SECRET_KEY,
            DATABASE_URL=data.url,
            REDIS_URL=redis_url,
            **CROWD,
            **(RAISED if self.has_raised_limits else {}),
            **self.env,
        )
        ports = [free_port() for _ in range(self.processes)]
        processes = []
        for port in ports:
            # One after the other: each collects the static files, into one folder.
            processes.append(start(self._command(port), log=log, env=env))
            wait_until_listening(processes[-1], port, log)
        database_url = data.url if self.database == "postgres" else ""
        return Server(ports, processes, log, data.tokens, data.room_id, database_url, redis_url)

    def _command(self, port: int) -> list[str]:
        manage = [sys.executable, str(REPOSITORY / "manage.py")]
        if self.is_daphne:
            return [*manage, "runserver", f"127.0.0.1:{port}", "--noreload"]
        return [*manage, "serve", "--host", "127.0.0.1", "--port", str(port)]
