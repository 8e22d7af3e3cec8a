"""Who takes part: how each is started. Those that differ only in how they are spoken to share a server."""

import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from bench.servers.backends import Backends
from bench.servers.ours import Ours
from bench.servers.peers import Nchan, Node, UsualChannels
from bench.servers.process import MissingPeerError, Server
from bench.servers.seeded import SeededDatabases


class Starter(Protocol):
    """A way to start a server."""

    def start(self, databases: SeededDatabases, label: str) -> Server:
        """Until it listens; raises MissingPeerError when it cannot be had."""
        ...


STARTERS: Mapping[str, Starter] = {
    "ours": Ours(),
    "ours batch": Ours(),
    "ours raised": Ours(has_raised_limits=True),
    "ours rpc": Ours(has_raised_limits=True),
    "ours two": Ours(processes=2),
    "ours Valkey": Ours(has_valkey=True),
    "ours daphne": Ours(is_daphne=True),
    "ours postgres": Ours(database="postgres"),
    "Channels": UsualChannels(),
    "Channels Valkey": UsualChannels(has_valkey=True),
    "Channels two": UsualChannels(has_valkey=True, processes=2),
    "Channels postgres": UsualChannels(database="postgres"),
    "Node ws": Node("ws.js"),
    "Socket.IO": Node("socketio.js"),
    "nchan": Nchan(),
}


class Contenders:
    """Starts servers when they are first asked for, remembers who cannot be had."""

    def __init__(self, folder: Path) -> None:
        self.missing: dict[str, str] = {}
        self._backends = Backends(folder)
        self._databases = SeededDatabases(self._backends)
        self._running: dict[Starter, Server] = {}
        self._numbers = itertools.count(1)

    def server(self, contender: str, *, needs_fresh: bool) -> Server | None:
        """The running server, or one just started; None when it is missing."""
        starter = STARTERS[contender]
        if contender in self.missing:
            return None
        if needs_fresh and starter in self._running:
            self._running.pop(starter).stop()
        if starter not in self._running:
            try:
                label = f"{contender.replace(' ', '-')}-{next(self._numbers)}"
                self._running[starter] = starter.start(self._databases, label)
            except MissingPeerError as missing:
                self.missing[contender] = str(missing)
                return None
        return self._running[starter]

    def close(self) -> None:
        """End everything that was started."""
        for server in self._running.values():
            server.stop()
        self._backends.close()
