"""The log of a server: each line is JSON, says what it is about, and holds no credential."""

import json
import time
from typing import Any

import httpx
import pytest

from tests.e2e.visitor import Visitor
from tests.servers.pool import Site

WHERE = ("time", "level", "logger", "node", "worker")
LINES_WITHIN_S = 5.0


def lines_of(site: Site) -> list[dict[str, Any]]:
    """The events of the log so far. Lines that the command prints before it serves are no events."""
    return [json.loads(line) for line in site.server.log().splitlines() if line.startswith("{")]


def line_with(site: Site, **fields: Any) -> dict[str, Any]:
    """The first line with these values. It is written when the answer has been sent."""
    until_s = time.monotonic() + LINES_WITHIN_S
    while True:
        found = [line for line in lines_of(site) if line.items() >= fields.items()]
        if found:
            return found[0]
        assert time.monotonic() < until_s, f"no line with {fields}"
        time.sleep(0.02)


def ask(site: Site, path: str, *, method: str = "GET", **options: Any) -> httpx.Response:
    headers = {"Host": f"acme.localhost:{site.server.port}", **options.pop("headers", {})}
    return httpx.request(
        method, f"http://127.0.0.1:{site.server.port}{path}", headers=headers, trust_env=False, **options
    )


async def test_every_line_is_one_event_and_says_where(site: Site, acme: Visitor) -> None:
    secret = site.server.keep_secret("rk_a-key-that-does-not-exist-0123456789")
    ticket = site.server.keep_secret("a-ticket-that-does-not-exist-0123456789")
    headers = {"Authorization": f"Bearer {secret}", "X-Request-ID": "from-the-proxy.1"}
    refused = ask(site, f"/api/realtime/nodes/?token={secret}&ticket={ticket}", headers=headers)
    assert (refused.status_code, refused.headers["x-request-id"]) == (401, "from-the-proxy.1")
    line = line_with(site, event="request", request_id="from-the-proxy.1")
    assert line.items() >= {"method": "GET", "path": "/api/realtime/nodes/", "status": 401}.items()
    assert line["tenant"] == "acme"

    async with acme.open_json("/ws/pubsub/") as talk:
        welcome = talk.welcome
    connection_id = welcome["connection_id"]
    opened = line_with(site, event="open", connection_id=connection_id)
    assert opened.items() >= {"tenant": "acme", "path": "/ws/pubsub/", "node": welcome["node"]}.items()
    for each in lines_of(site):
        assert set(WHERE) <= set(each), each
    site.server.check_log()


def test_who_asked_is_in_the_line(site: Site) -> None:
    body = {"username": "alice", "password": "rockstar"}
    answer = ask(site, "/api/token/", method="POST", json=body)
    token = site.server.keep_secret(answer.json()["access"])
    request_id = ask(site, "/api/chat/rooms/", headers={"Authorization": f"Bearer {token}"}).headers[
        "x-request-id"
    ]
    assert isinstance(line_with(site, request_id=request_id)["user"], int)
    anonymous = ask(site, "/api/chat/rooms/").headers["x-request-id"]
    assert line_with(site, request_id=anonymous)["user"] is None


@pytest.mark.parametrize(
    ("path", "status"), [("/nothing-here/", 404), ("/ws/echo/", 426), ("/healthz", 200), ("/api/token/", 405)]
)
def test_every_answer_has_an_id_and_a_line(site: Site, path: str, status: int) -> None:
    answer = ask(site, path)
    line = line_with(site, request_id=answer.headers["x-request-id"])
    assert (answer.status_code, line["status"], line["path"]) == (status, status, path)


def test_a_request_that_the_server_refuses_by_itself_has_them_too(site: Site) -> None:
    answer = ask(site, "/", headers={"X-Large": "x" * 70_000})
    assert answer.status_code == 431
    assert line_with(site, request_id=answer.headers["x-request-id"])["status"] == 431
