"""The real server, as `manage.py serve` starts it."""

import pytest

from tests.servers.pool import Site
from tests.servers.process import ServerProcess


@pytest.fixture
def server(shared_serve: Site) -> ServerProcess:
    """A running server with default settings; its log must stay clean."""
    return shared_serve.server


@pytest.fixture
def port(server: ServerProcess) -> int:
    """Where it listens."""
    return server.port
