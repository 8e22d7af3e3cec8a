"""Counters for machines: who may read them, and that they move."""

import re

import pytest

from tests.e2e.visitor import Visitor, assert_error_body
from tests.servers.pool import METRICS_TOKEN

JSON_PATH = "/metrics/websocket"
TEXT_PATH = "/metrics"
PATHS = pytest.mark.parametrize("path", [JSON_PATH, TEXT_PATH])


async def numbers(visitor: Visitor) -> dict[str, float]:
    response = await visitor.http.get(JSON_PATH, headers={"Authorization": f"Bearer {METRICS_TOKEN}"})
    assert response.status_code == 200, response.text
    body: dict[str, float] = response.json()
    return body


async def test_the_json_page(acme: Visitor) -> None:
    body = await numbers(acme)
    for name in ("active_connections", "total_messages", "total_errors"):
        assert isinstance(body[name], int), body


@pytest.mark.kinds("serve", "daphne")
async def test_it_moves_with_what_happens(acme: Visitor) -> None:
    before = await numbers(acme)
    async with acme.open_json("/ws/pubsub/") as talk:
        for _ in range(10):
            await talk.request("ping")
        await talk.request("no.such.verb")
        during = await numbers(acme)
    assert during["active_connections"] >= 1
    assert during["total_messages"] >= before["total_messages"] + 10
    assert during["total_errors"] >= before["total_errors"] + 1


@pytest.mark.settings(TEST="alone")
async def test_connections_are_counted_down_again(acme: Visitor) -> None:
    async with acme.open("/ws/echo/"), acme.open("/ws/echo/"):
        assert (await numbers(acme))["active_connections"] == 2
    async with acme.reopen("/ws/echo/") as talk:
        await talk.is_alive()
        for _ in range(100):
            if (await numbers(acme))["active_connections"] == 1:
                break
        assert (await numbers(acme))["active_connections"] == 1


async def test_the_prometheus_page(acme: Visitor) -> None:
    async with acme.open_json("/ws/pubsub/"):
        headers = {"Authorization": f"Bearer {METRICS_TOKEN}"}
        response = await acme.http.get(TEXT_PATH, headers=headers)
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/plain")
    lines = [line for line in response.text.splitlines() if line and not line.startswith("#")]
    assert lines
    for line in lines:
        assert re.fullmatch(r"[a-zA-Z_:][\w:]*(\{[^{}]*\})? \S+( \d+)?", line), line
    assert "acme" in response.text
    for secret in ("alice", "127.0.0.1:"):
        assert secret not in response.text


@PATHS
async def test_who_may_read_them(acme: Visitor, path: str) -> None:
    allowed = [
        {"Authorization": f"Bearer {METRICS_TOKEN}"},
        {"Authorization": f"Bearer {await acme.token('admin', ['metrics:read'])}"},
        {"Cookie": await acme.session("admin")},
    ]
    for headers in allowed:
        response = await acme.http.get(path, headers=headers)
        assert response.status_code == 200, (headers.keys(), response.text)


@PATHS
async def test_who_may_not(acme: Visitor, globex: Visitor, path: str) -> None:
    refused = [
        ({}, {401}),
        ({"Authorization": "Bearer wrong"}, {401}),
        ({"Authorization": f"Bearer {METRICS_TOKEN}x"}, {401}),
        ({"Authorization": "Bearer"}, {401}),
        ({"Authorization": f"Bearer {await acme.token('alice')}"}, {403}),
        ({"Authorization": f"Bearer {await acme.token('admin', ['chat:read'])}"}, {403}),
        ({"Authorization": f"Bearer {await globex.token('admin')}"}, {401, 403}),
        ({"Cookie": await acme.session("alice")}, {403}),
    ]
    for headers, statuses in refused:
        response = await acme.http.get(path, headers=headers)
        assert response.status_code in statuses, (headers.keys(), response.status_code, response.text)
        assert_error_body(response)


@pytest.mark.settings(METRICS_TOKEN="")
async def test_an_empty_metrics_token_opens_nothing(acme: Visitor) -> None:
    for value in ("Bearer", "Bearer x", ""):
        response = await acme.http.get(JSON_PATH, headers={"Authorization": value})
        assert response.status_code == 401, value
