import asyncio
import json
import time

import pytest

from realtime.protocol.close_codes import CloseCode
from realtime.protocol.errors import ErrorCode
from realtime.sockets import metrics as module
from realtime.sockets.metrics import OTHER, UNKNOWN, LoopLag, Metrics


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


def test_a_route_counts_the_life_of_its_connections(metrics: Metrics) -> None:
    route = metrics.route("acme", "/ws/chat/")
    route.opened()
    route.opened()
    route.closed(1000)
    route.messages_in += 3
    route.bytes_in += 30
    route.messages_out += 4
    route.bytes_out += 40
    route.subscriptions += 2
    route.dropped += 1
    route.error(ErrorCode.NOT_FOUND)
    route.refused(503)

    assert route.figures() == {
        "active_connections": 1,
        "opened": 2,
        "messages_in": 3,
        "messages_out": 4,
        "bytes_in": 30,
        "bytes_out": 40,
        "subscriptions": 2,
        "dropped": 1,
        "closed": {"1000": 1},
        "errors": {"not_found": 1},
        "refused": {"503": 1},
    }


def test_the_same_route_is_the_same_object(metrics: Metrics) -> None:
    assert metrics.route("acme", "/ws/") is metrics.route("acme", "/ws/")
    assert metrics.route("acme", "/ws/") is not metrics.route("globex", "/ws/")


def test_snapshot_sums_by_tenant_and_in_all(metrics: Metrics) -> None:
    for tenant, path, count in (("acme", "/ws/", 1), ("acme", "/ws/chat/", 2), ("globex", "/ws/", 4)):
        route = metrics.route(tenant, path)
        route.messages_in += count
        for _ in range(count):
            route.opened()
            route.error("internal")

    snapshot = metrics.snapshot()

    assert snapshot["totals"]["active_connections"] == 7
    assert snapshot["totals"]["errors"] == {"internal": 7}
    assert snapshot["tenants"]["acme"]["messages_in"] == 3
    assert snapshot["tenants"]["globex"]["messages_in"] == 4
    assert [(each["tenant"], each["route"]) for each in snapshot["routes"]] == [
        ("acme", "/ws/"),
        ("acme", "/ws/chat/"),
        ("globex", "/ws/"),
    ]
    assert json.loads(json.dumps(snapshot)) == snapshot


def test_snapshot_of_a_tenant_shows_nothing_of_another(metrics: Metrics) -> None:
    metrics.route("acme", "/ws/").opened()
    metrics.route("globex", "/ws/").opened()

    snapshot = metrics.snapshot(tenant="acme")

    assert snapshot["totals"]["active_connections"] == 1
    assert "globex" not in json.dumps(snapshot)
    assert metrics.snapshot(tenant="nobody")["totals"]["active_connections"] == 0


def test_clients_cannot_make_labels(metrics: Metrics) -> None:
    route = metrics.route("acme", "/ws/")
    for code in range(3000, 5000):
        route.opened()
        route.closed(code)
    route.error("made up")

    figures = route.figures()
    ours = {str(int(code)) for code in CloseCode if code >= 3000}
    assert set(figures["closed"]) == ours | {OTHER}
    assert sum(figures["closed"].values()) == 2000
    assert figures["errors"] == {OTHER: 1}
    assert figures["active_connections"] == 0


def test_the_number_of_routes_is_bounded(metrics: Metrics, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_ROUTES", 2)
    for number in range(10):
        metrics.route("acme", f"/ws/{number}/").opened()
    routes = {(each.tenant, each.route): each.active for each in metrics.routes()}
    assert routes == {("acme", "/ws/0/"): 1, ("acme", "/ws/1/"): 1, (UNKNOWN, UNKNOWN): 8}


def test_loop_lag_remembers_its_window() -> None:
    lag = LoopLag(interval_s=0.5, window_s=2.0)
    assert lag.snapshot() == {"last_ms": 0.0, "p99_ms": 0.0, "max_ms": 0.0}
    for late_s in (0.9, 0.001, 0.002, 0.004, -0.001):
        lag.record(late_s)
    snapshot = lag.snapshot()
    assert snapshot["last_ms"] == 0.0
    assert snapshot["max_ms"] == 4.0
    assert 2.0 < snapshot["p99_ms"] <= 4.0


async def test_loop_lag_sees_a_held_up_loop() -> None:
    lag = LoopLag(interval_s=0.01)
    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        task = group.create_task(lag.run())
        await asyncio.sleep(0)
        time.sleep(0.1)  # noqa: ASYNC251 holding up the loop is the point
        await asyncio.sleep(0.05)
        task.cancel()
    assert lag.snapshot()["max_ms"] >= 80
