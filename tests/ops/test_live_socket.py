"""The socket of the live page, and the descriptions of nodes that it shows."""

import json
import uuid
from collections.abc import AsyncIterator
from dataclasses import replace
from time import monotonic
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from channels.testing import WebsocketCommunicator
from django.contrib.auth.models import Permission
from django.db import OperationalError

from accounts.credentials.identity import Authenticator
from accounts.models import User
from accounts.tenants import Directory
from realtime.conf import load_settings
from realtime.control.link import NodeLink
from realtime.control.lists import find_node, list_errors
from realtime.core.figures import Figures, RouteFigures
from realtime.core.identity import CredentialKind, Identity, Tenant
from realtime.core.liveness import NodeState
from realtime.dashboard import access, consumer, feed
from realtime.dashboard.consumer import LiveConsumer
from realtime.dashboard.feed import Feeds
from realtime.endpoints.routing import websocket
from realtime.endpoints.shared import Endpoints
from realtime.node import node as runtimes
from realtime.node.node import Node
from realtime.protocol.errors import Refusal

ROUTE = websocket("ws/admin/live/", LiveConsumer, staff=True, session=True)
ACME = Tenant(1, "acme", hosts=frozenset({"acme.localhost"}))


@pytest.fixture
async def runtime(db: None, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Node]:
    """A process of its own, on the in-memory engine; it believes in whoever a test makes up."""
    monkeypatch.setattr(Authenticator, "recheck", lambda self, identities: {})
    monkeypatch.setattr(Directory, "lookup", lambda self, host: ACME)
    runtime = Node(replace(load_settings(), REDIS_URL=""))
    runtimes.install(runtime)
    await runtime.ensure_started()
    yield runtime
    await runtime.stop()
    runtimes.install(None)


@pytest.mark.django_db(transaction=True)
class TestSocket:
    async def test_staff_without_the_permission_are_refused(self, runtime: Node) -> None:
        await sync_to_async(Permission.objects.all().delete)()
        await sync_to_async(_ada)()
        with pytest.raises(Refusal) as refused:
            await _connect(runtime)
        assert (refused.value.status, refused.value.code) == (403, "permission_denied")

    async def test_a_permission_taken_away_ends_the_page(
        self, runtime: Node, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(consumer, "PERMISSION_CHECK_S", 0.1)
        socket = await _connect(runtime)
        await _next(socket, "live")
        await _ask(socket, "live.start", interval_s=0.5)
        await sync_to_async(_take_permissions)()
        closed: dict[str, Any] = {}
        while closed.get("type") != "websocket.close":
            closed = await socket.receive_output(timeout=5)
        assert closed["code"] == 4403
        await socket.disconnect()

    async def test_a_database_that_cannot_be_asked_ends_nothing(
        self, runtime: Node, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(consumer, "PERMISSION_CHECK_S", 0.1)
        socket = await _connect(runtime)
        await _next(socket, "live")

        def fail(user_id: int) -> bool:
            raise OperationalError

        monkeypatch.setattr(access, "_holds_permission", fail)
        await _ask(socket, "live.start", interval_s=0.5)
        await _next(socket, "live")
        await socket.disconnect()
        with pytest.raises(Refusal) as refused:
            await _connect(runtime)
        assert refused.value.status == 503

    async def test_a_superuser_is_told_of_everything(self, runtime: Node) -> None:
        runtime.metrics.route("globex", "/ws/").refused(404)
        socket = await _connect(runtime, is_superuser=True)
        beat = await _next(socket, "live")
        await socket.disconnect()

        assert beat["tenant"] is None
        assert beat["interval_s"] == 2.0
        assert [each["tenant"] for each in beat["tenants"]] == ["acme", "globex"]
        assert beat["totals"]["active_connections"] == 1
        assert beat["reasons"]["refused"] == {"404": 1}
        (node,) = beat["nodes"]
        assert (node["node"], node["is_late"], node["connections"]) == (runtime.id, False, 1)
        assert node["loop_lag"].keys() == {"last_ms", "p99_ms", "max_ms"}
        assert "outbox_bytes" not in node
        assert f"lag.{runtime.id}" in beat["point"]

    async def test_staff_are_told_of_their_tenant(self, runtime: Node) -> None:
        runtime.metrics.route("globex", "/ws/").opened()
        socket = await _connect(runtime)
        beat = await _next(socket, "live")
        await socket.disconnect()

        assert beat["tenant"] == "acme"
        (node,) = beat["nodes"]
        assert node.keys() == {"node", "age_s", "is_late", "uptime_s", "connections"}
        assert not [
            name for name in beat["point"] if name.startswith(("lag", "cpu", "memory", "outbox", "request"))
        ]
        assert "globex" not in str(beat)

    @pytest.mark.parametrize("tenant", ["globex", "no-such-tenant"])
    async def test_staff_are_not_told_of_another_tenant(self, runtime: Node, tenant: str) -> None:
        socket = await _connect(runtime)
        await _next(socket, "live")
        await socket.send_json_to({"id": 1, "type": "live.start", "payload": {"tenant": tenant}})
        assert (await _next(socket, "error"))["code"] == "not_found"
        await _ask(socket, "live.start", tenant="acme", interval_s=0.5)
        assert (await _next(socket, "live"))["tenant"] == "acme"
        await socket.disconnect()

    async def test_figures_of_a_tenant_a_route_and_a_node(self, runtime: Node) -> None:
        runtime.metrics.route("acme", "/ws/echo/").messages_in += 3
        runtime.metrics.route("globex", "/ws/echo/").messages_in += 5
        socket = await _connect(runtime, is_superuser=True)
        everything = await _next(socket, "live")
        messages = everything["totals"]["messages_in"]
        for wanted, expected in (
            ({"tenant": "globex"}, 5),
            ({"route": "/ws/echo/"}, 8),
            ({"route": "/ws/echo/", "tenant": "acme"}, 3),
            ({"node": "gone"}, 0),
            ({"node": runtime.id, "route": "/ws/echo/"}, 8),
        ):
            await _ask(socket, "live.start", interval_s=0.5, **wanted)
            beat = await _next(socket, "live")
            assert beat["totals"]["messages_in"] == expected
            assert {name: beat[name] for name in wanted} == wanted
            # All nodes are named, whatever the figures are of.
            assert [each["node"] for each in beat["nodes"]] == [runtime.id]
        assert messages == 8
        await socket.disconnect()

    async def test_counts_of_nodes_that_ended_stay_and_those_of_late_ones_are_said(
        self, runtime: Node, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        runtime.cluster._ledger.end("old", Figures(routes=[RouteFigures("acme", "/ws/echo/", messages_in=7)]))
        other = Figures(routes=[RouteFigures("acme", "/ws/echo/", active=2, messages_in=4)])
        runtime.cluster._nodes.heard(NodeState("other", "2026-01-01T00:00:00+00:00", other), monotonic() - 4)
        socket = await _connect(runtime, is_superuser=True)
        beat = await _next(socket, "live")
        assert _row(beat, "/ws/echo/")["messages_in"] == 11
        assert beat["totals"]["active_connections"] == 3
        rows = {row["node"]: row for row in beat["nodes"]}
        assert (rows["other"]["is_late"], rows["other"]["connections"], rows["other"]["age_s"] >= 4) == (
            True,
            2,
            True,
        )
        assert rows[runtime.id]["is_late"] is False
        await socket.disconnect()

    async def test_pages_that_show_the_same_share_a_feed_and_the_last_one_ends_it(
        self, runtime: Node
    ) -> None:
        first = await _connect(runtime, is_superuser=True)
        await _next(first, "live")
        second = await _connect(runtime, is_superuser=True)
        # At once, and not with the next interval.
        await _next(second, "live")
        feeds = runtime.shared(Feeds, lambda: Feeds(runtime))
        assert [len(feed.watchers) for feed in feeds._feeds.values()] == [2]
        await first.disconnect()
        await _ask(second, "live.stop")
        assert feeds._feeds == {}
        await second.disconnect()

    async def test_a_table_has_the_busiest_rows_only(self, runtime: Node) -> None:
        for number in range(feed.ROWS_MAX + 7):
            runtime.metrics.route(f"t{number:03}", "/ws/echo/").messages_in += number
        socket = await _connect(runtime, is_superuser=True)
        beat = await _next(socket, "live")
        assert len(beat["routes"]) == len(beat["tenants"]) == feed.ROWS_MAX
        # The page itself is a row, too.
        assert beat["left_out"] == {"tenants": 8, "routes": 8}
        assert "t000" not in {row["tenant"] for row in beat["tenants"]}
        await socket.disconnect()

    async def test_it_stops_and_starts(self, runtime: Node) -> None:
        socket = await _connect(runtime)
        await _next(socket, "live")
        assert await _ask(socket, "live.stop") == {}
        assert await socket.receive_nothing(timeout=0.7)
        assert await _ask(socket, "live.start", interval_s=0.5) == {"interval_s": 0.5}
        assert (await _next(socket, "live"))["interval_s"] == 0.5
        await socket.disconnect()

    async def test_starting_what_runs_makes_no_second_beat(self, runtime: Node) -> None:
        socket = await _connect(runtime)
        await _next(socket, "live")
        await _ask(socket, "live.start")
        assert await socket.receive_nothing(timeout=0.5)
        await socket.disconnect()

    @pytest.mark.parametrize("interval_s", [0, 0.1, 61, "2", None])
    async def test_intervals_are_bounded(self, runtime: Node, interval_s: Any) -> None:
        socket = await _connect(runtime)
        await _next(socket, "live")
        await socket.send_json_to({"id": 1, "type": "live.start", "payload": {"interval_s": interval_s}})
        assert (await _next(socket, "error"))["code"] == "invalid_message"
        await socket.disconnect()

    async def test_rates_are_those_between_two_beats(self, runtime: Node) -> None:
        route = runtime.metrics.route("acme", "/ws/echo/")
        route.messages_in += 1_000
        socket = await _connect(runtime)
        # Nothing is known of the time before the first one.
        assert "in_per_s" not in _row(await _next(socket, "live"), "/ws/echo/")
        await _ask(socket, "live.start", interval_s=0.5)
        assert "messages_in" not in (await _next(socket, "live"))["point"]
        route.messages_in += 50
        beat = await _next(socket, "live")
        assert 50 <= _row(beat, "/ws/echo/")["in_per_s"] <= 101
        assert 50 <= beat["point"]["messages_in"] <= 101
        await socket.disconnect()


@pytest.mark.django_db(transaction=True)
class TestDescriptions:
    """Return the nodes' descriptions of themselves."""

    async def test_a_node_says_what_it_runs_with_and_no_secret(self, runtime: Node) -> None:
        secret = "hunter2-the-token"
        url = "rediss://user:hunter2@broker.example:6380/1?password=hunter2"
        runtime.settings = replace(runtime.settings, METRICS_TOKEN=secret, REDIS_URL=url, DRAIN_S=1.5)
        found = await find_node(NodeLink(runtime), runtime.id)
        assert found is not None
        assert "hunter2" not in json.dumps(found)
        settings = {row["name"]: row for row in found["settings"]}
        assert settings["METRICS_TOKEN"]["value"] == "set"
        assert settings["REDIS_URL"]["value"] == "rediss://***@broker.example:6380/1"
        assert settings["DRAIN_S"] == {"name": "DRAIN_S", "value": "1.5", "is_default": False}
        assert settings["MAX_TOPICS"]["is_default"] is True
        assert (found["broker"]["kind"], found["database"]["vendor"]) == ("redis", "sqlite")
        assert found["limits"]["connections"] == 0.0
        assert await find_node(NodeLink(runtime), "another") is None

    async def test_errors_are_in_groups_and_staff_see_their_own(self, runtime: Node) -> None:
        errors = runtime.metrics.last_errors
        for tenant, count in (("acme", 3), ("globex", 1)):
            for number in range(count):
                errors.add(
                    ("timeout", "query", "builtins.OSError", tenant, "/ws/data/"), f"c{number}", number
                )
        page = await list_errors(NodeLink(runtime), None)
        assert [(row["tenant"], row["count"], row["connection_id"]) for row in page.results] == [
            ("acme", 3, "c2"),
            ("globex", 1, "c0"),
        ]
        assert (page.count, page.nodes_answered, page.nodes_total) == (2, 1, 1)
        own = await list_errors(NodeLink(runtime), "globex")
        assert [row["tenant"] for row in own.results] == ["globex"]


def _row(beat: dict[str, Any], route: str) -> dict[str, Any]:
    return next(row for row in beat["routes"] if row["route"] == route)


def _ada() -> int:
    """Staff of acme, as far as Django's permissions go."""
    user, _ = User.objects.get_or_create(username="ada", is_staff=True)
    for permission in Permission.objects.filter(codename="view_live"):
        user.user_permissions.add(permission)
    return user.pk


def _take_permissions() -> None:
    User.objects.get(username="ada").user_permissions.clear()


async def _connect(runtime: Node, *, is_superuser: bool = False) -> WebsocketCommunicator:
    socket = WebsocketCommunicator(ROUTE.app, ROUTE.path)
    socket.scope |= {
        "endpoints": Endpoints(runtime),
        "connection_id": uuid.uuid4().hex,
        "tenant": ACME,
        "identity": Identity(
            user_id=await sync_to_async(_ada)(),
            username="ada",
            tenant="acme",
            scopes=frozenset(),
            kind=CredentialKind.SESSION,
            is_staff=True,
            is_superuser=is_superuser,
        ),
        "route": ROUTE,
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 2),
        "subprotocol": None,
    }
    await socket.connect()
    await _next(socket, "welcome")
    return socket


async def _next(socket: WebsocketCommunicator, message_type: str) -> dict[str, Any]:
    """The payload of the next message, which is of this type."""
    message = await socket.receive_json_from(timeout=5)
    assert message["type"] == message_type, message
    payload: dict[str, Any] = message["payload"]
    return payload


async def _ask(socket: WebsocketCommunicator, verb: str, **payload: Any) -> dict[str, Any]:
    await socket.send_json_to({"id": 1, "type": verb, "payload": payload})
    reply = await socket.receive_json_from(timeout=5)
    assert reply["id"] == 1, reply
    answer: dict[str, Any] = reply["payload"]
    return answer
