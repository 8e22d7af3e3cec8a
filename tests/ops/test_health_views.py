import logging
import time
from asyncio import AbstractEventLoop
from collections.abc import Callable
from threading import Event
from typing import Any

import pytest
import redis.exceptions
from django.db import OperationalError, connection
from django.test import Client, RequestFactory

from realtime.node.broker_watch import BrokerWatch
from realtime.rest.health import HealthView
from realtime.rest.readiness import Readiness
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
        "parts": dict.fromkeys(("database", "migrations", "started", "draining", "broker", "cache"), "ok"),
    }


def test_not_ready_before_the_start(
    process: Process, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    process.is_started = False
    monkeypatch.setattr(logging.getLogger("django"), "propagate", True)
    for _ in range(3):
        assert _failed(get("/readyz")) == {"started": "not started", "broker": "not started"}
    # A line for each change, and none for each probe.
    logged = [record.getMessage() for record in caplog.records]
    assert logged == ["readyz: started is not started", "readyz: broker is not started"]


@pytest.mark.usefixtures("loop")
def test_not_ready_while_draining(process: Process) -> None:
    process.is_draining = True
    assert _failed(get("/readyz")) == {"draining": "draining"}


@pytest.mark.usefixtures("loop")
def test_degraded_without_a_broker(process: Process) -> None:
    class AwayBus(MemoryBus):
        async def send(self, group: str, body: bytes, *, to_self: bool = False) -> None:
            raise BusUnavailableError

    process.bus = AwayBus()
    response = get("/readyz")
    assert (response.status_code, response.json()["status"]) == (200, "degraded")
    assert _failed(response, "degraded") == {"broker": "unreachable"}


@pytest.mark.usefixtures("loop")
def test_a_broker_that_was_refused_says_why(process: Process) -> None:
    process.shared(BrokerWatch, BrokerWatch).fault = "Too old."
    assert _failed(get("/readyz"), "degraded") == {"broker": "Too old."}


def test_not_ready_without_a_database(loop: AbstractEventLoop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("realtime.rest.health.connection", AwayConnection())
    assert _failed(get("/readyz"))["database"] == "OperationalError"


@pytest.mark.usefixtures("loop")
def test_not_ready_with_a_standby(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("realtime.rest.health.connection", StandbyConnection())
    response = get("/readyz")
    assert response.status_code == 503
    assert _failed(response)["database"] == "read-only"


@pytest.mark.usefixtures("loop")
@pytest.mark.parametrize(
    ("error", "told"),
    [
        (ConnectionRefusedError("10.0.0.7:6379"), "unreachable"),
        (redis.exceptions.ConnectionError("Error 111 connecting to 10.0.0.7:6379."), "unreachable"),
        (redis.exceptions.TimeoutError("Timeout reading from 10.0.0.7:6379"), "unreachable"),
        (
            redis.exceptions.AuthenticationError("WRONGPASS"),
            "The cache does not accept the user and password of its URL.",
        ),
        (redis.exceptions.ResponseError("OOM"), "ResponseError"),
    ],
)
def test_degraded_without_a_cache(error: Exception, told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class AwayCache:
        def set(self, *args: Any) -> None:
            raise error

    monkeypatch.setattr("realtime.rest.health.cache", AwayCache())
    response = get("/readyz")
    assert (response.status_code, response.json()["status"]) == (200, "degraded")
    assert _failed(response, "degraded") == {"cache": told}


@pytest.mark.usefixtures("loop")
def test_what_is_not_migrated_is_not_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("realtime.rest.health.missing_migrations", lambda database: 2)
    assert _failed(get("/readyz")) == {"migrations": "2 not applied"}


def test_a_part_that_hangs_does_not_hold_up_the_answer() -> None:
    may_end, asked = Event(), []

    def hang() -> str:
        asked.append("hang")
        may_end.wait(10)
        return ""

    readiness = Readiness({"good": lambda: "", "hangs": hang}, deadline_s=0.05)
    for _ in range(3):
        assert readiness.parts() == {"good": "ok", "hangs": "no answer"}
    # One probe at most is under way, however often somebody asks.
    assert asked == ["hang"]
    may_end.set()
    until(lambda: readiness.parts()["hangs"] == "ok")


def test_a_change_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    outcome = [""]
    readiness = Readiness({"part": lambda: outcome[0]})
    with caplog.at_level(logging.INFO, "realtime.rest.readiness"):
        for each in ("", "away", "away still", "", ""):
            outcome[0] = each
            readiness.parts()
    assert [record.getMessage() for record in caplog.records] == [
        "readyz: part is away",
        "readyz: part is ok",
    ]


def test_what_is_settled_is_asked_until_it_is_in_order() -> None:
    answers = ["missing", "", "never asked"]
    readiness = Readiness({"migrations": lambda: answers.pop(0)}, settled={"migrations"})
    assert [readiness.parts()["migrations"] for _ in range(4)] == ["missing", "ok", "ok", "ok"]


def until(condition: Callable[[], bool]) -> None:
    for _ in range(500):
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError("It did not come true.")


def _failed(response: Any, status: str = "unavailable") -> dict[str, str]:
    assert response.status_code == (200 if status == "degraded" else 503)
    assert response.json()["status"] == status
    return {name: outcome for name, outcome in response.json()["parts"].items() if outcome != "ok"}


def _database_is_away() -> None:
    raise OperationalError


class StandbyConnection:
    """A PostgreSQL that was a primary; also its own cursor."""

    vendor = "postgresql"

    def cursor(self) -> "StandbyConnection":
        """The same object."""
        return self

    def __enter__(self) -> "StandbyConnection":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def execute(self, statement: str) -> None:
        """It is asked whether it takes writes."""
        assert "transaction_read_only" in statement

    def fetchone(self) -> tuple[bool]:
        """It does not."""
        return (False,)

    def close(self) -> None:
        """Nothing is open."""


class AwayConnection:
    """A database that does not answer."""

    cursor = staticmethod(_database_is_away)

    def close(self) -> None:
        """Nothing is open."""
