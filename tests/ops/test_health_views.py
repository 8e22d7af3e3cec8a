from asyncio import AbstractEventLoop
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.test import Client, RequestFactory

from realtime.rest.health import HealthView
from realtime.topics.engine.memory import MemoryBus
from realtime.topics.engine.ports import BusUnavailableError
from tests.ops.conftest import Process

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("process")]


def get(page: str, host: str = "10.0.0.7") -> Any:
    return Client().get(page, headers={"host": host})


def test_health_on_any_host() -> None:
    response = get("/healthz")
    assert (response.status_code, response.json()) == (200, {"status": "ok"})


def test_health_asks_nobody(process: Process, monkeypatch: pytest.MonkeyPatch) -> None:
    process.is_started = False
    monkeypatch.setattr(connection, "cursor", _database_is_away)
    assert HealthView.as_view()(RequestFactory().get("/healthz")).status_code == 200


@pytest.mark.usefixtures("loop")
def test_ready() -> None:
    response = get("/readyz")
    assert response.status_code == 200
    assert response.json() == {
        "status": "ok",
        "checks": {"database": "ok", "runtime": "ok", "bus": "ok"},
    }


def test_not_ready_before_the_start(process: Process) -> None:
    process.is_started = False
    assert _failed_checks(get("/readyz")) == {"runtime": "not started", "bus": "not started"}


@pytest.mark.usefixtures("loop")
def test_not_ready_while_draining(process: Process) -> None:
    process.is_draining = True
    assert _failed_checks(get("/readyz")) == {"runtime": "draining"}


@pytest.mark.usefixtures("loop")
def test_not_ready_without_a_broker(process: Process) -> None:
    class AwayBus(MemoryBus):
        async def send(self, group: str, body: bytes, *, to_self: bool = False) -> None:
            raise BusUnavailableError

    process.bus = AwayBus()
    assert _failed_checks(get("/readyz")) == {"bus": "unreachable"}


def test_not_ready_without_a_database(loop: AbstractEventLoop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("realtime.rest.health.connection", AwayConnection())
    assert _failed_checks(get("/readyz")) == {"database": "OperationalError"}


def _failed_checks(response: Any) -> dict[str, str]:
    assert response.status_code == 503
    assert response.json()["status"] == "unavailable"
    return {name: outcome for name, outcome in response.json()["checks"].items() if outcome != "ok"}


def _database_is_away() -> None:
    raise OperationalError


class AwayConnection:
    """A database that does not answer."""

    cursor = staticmethod(_database_is_away)
