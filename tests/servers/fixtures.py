"""The fixtures that hand out real servers. Nothing is started before a test asks for it."""

import os
from collections.abc import Iterator

import pytest

from tests.servers.databases import Databases
from tests.servers.pool import Site, SitePool
from tests.servers.valkey import Valkey


def pytest_configure(config: pytest.Config) -> None:
    """The marks of tests that talk to servers."""
    config.addinivalue_line(
        "markers", "kinds(*kinds): the kinds of servers this test runs on, if not `serve` alone"
    )
    config.addinivalue_line("markers", "slow_smoke: makes an environment from nothing; a minute or more")
    config.addinivalue_line("markers", "settings(count=1, **env): servers of its own, with these settings")


@pytest.fixture(scope="session")
def valkey_url() -> Iterator[str]:
    """REDIS_URL of a Valkey of this session's own."""
    valkey = Valkey()
    valkey.start()
    yield valkey.url
    valkey.stop()


@pytest.fixture(scope="session")
def databases(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Databases]:
    """Fresh databases, migrated and seeded."""
    folder, run = tmp_path_factory.mktemp("databases"), tmp_path_factory.getbasetemp()
    # The processes of a run have their folders side by side.
    made = Databases(folder, templates=run.parent if "PYTEST_XDIST_WORKER" in os.environ else run)
    yield made
    made.close()


@pytest.fixture(scope="session")
def postgres_url(databases: Databases) -> str:
    """DATABASE_URL of an empty database in this session's own PostgreSQL."""
    return databases.postgres_server().create("empty")


@pytest.fixture(scope="session")
def site_pool(tmp_path_factory: pytest.TempPathFactory, databases: Databases) -> Iterator[SitePool]:
    """Where every server comes from."""
    pool = SitePool(tmp_path_factory.mktemp("servers"), databases)
    yield pool
    pool.close()


@pytest.fixture
def shared_serve(site_pool: SitePool) -> Iterator[Site]:
    """The shared site on `serve`; its log is checked after the test."""
    site = site_pool.shared("serve")
    yield site
    site.server.check_log()
