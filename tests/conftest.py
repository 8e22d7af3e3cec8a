"""What every part of the suite may use."""

from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path

import pytest
from coverage import Coverage
from django.db import connections
from django.test import override_settings
from hypothesis import HealthCheck, settings

# Properties are judged by values. How long an example takes says more about the machine.
settings.register_profile("suite", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("suite")

# `make setup` installs the package, whose plugin pytest loads by itself.
_IS_INSTALLED = bool(entry_points(group="pytest11", name="realtime"))
pytest_plugins = ["tests.servers.fixtures", *([] if _IS_INSTALLED else ["realtime.testing.plugin"])]


@pytest.fixture(scope="session")
def django_db_modify_db_settings(tmp_path_factory: pytest.TempPathFactory) -> None:
    """A SQLite test database is a file: the shared one in memory has locks of its own between threads."""
    connection = connections["default"]
    if connection.vendor == "sqlite":
        folder: Path = tmp_path_factory.mktemp("django")
        connection.settings_dict["TEST"]["NAME"] = str(folder / "test.sqlite3")


@pytest.fixture(scope="session", autouse=True)
def _no_static_files() -> Iterator[None]:
    """Each client would begin by looking through all static files. Servers of a test serve them, as they always do."""
    with override_settings(SERVESTATIC_USE_FINDERS=False, SERVESTATIC_USE_STATIC_ROOT=False):
        yield


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest tests, lest one process works on them when the others have nothing left to do."""
    items.sort(key=lambda item: item.get_closest_marker("slow_smoke") is None)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish() -> None:
    """Save measured coverage, if there is any: xdist kills a process that takes ten seconds to end."""
    if measured := Coverage.current():
        measured.save()
