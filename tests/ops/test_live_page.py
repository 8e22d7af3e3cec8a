"""The page's way in, and the socket behind it. What a browser makes of them: tests/browser."""

import json
import uuid
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from time import monotonic, time
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from channels.testing import WebsocketCommunicator
from django.contrib.auth.models import Permission
from django.db import OperationalError
from django.test import Client
from pytest_django import Settings

from accounts.credentials.identity import Authenticator
from accounts.models import Membership, User
from accounts.tenants import Directory
from realtime.conf import load_settings
from realtime.control.link import NodeLink
from realtime.control.lists import find_node, list_errors
from realtime.core.figures import Figures, RouteFigures
from realtime.core.identity import CredentialKind, Identity, Tenant
from realtime.core.liveness import NodeState
from realtime.core.samples import Sample, encode
from realtime.dashboard import access, consumer, feed
from realtime.dashboard.consumer import LiveConsumer
from realtime.dashboard.feed import Feeds
from realtime.endpoints.routing import websocket
from realtime.endpoints.shared import Endpoints
from realtime.models import FiguresSample
from realtime.node import node as runtimes
from realtime.node.node import Node
from realtime.protocol.errors import Refusal

PAGE = "/admin/realtime/live/"
ROUTE = websocket("ws/admin/live/", LiveConsumer, staff=True, session=True)
ACME = Tenant(1, "acme", hosts=frozenset({"acme.localhost"}))


def permit(user: User) -> User:
    """Give `user` the permission of the page."""
    user.user_permissions.add(
        Permission.objects.get(content_type__app_label="realtime", codename="view_live")
    )
    return user


@pytest.mark.django_db
@pytest.mark.usefixtures("process")
class TestPage:
    def test_nobody_is_sent_to_sign_in(self, tenants: object) -> None:
        response = Client(headers={"host": "acme.localhost"}).get(PAGE)
        assert response.status_code == 302
        assert response["location"].startswith("/admin/login/")

    def test_a_member_is_sent_to_sign_in(self, session: Callable[..., Client]) -> None:
        assert session("acme-member").get(PAGE).status_code == 302

    def test_staff_of_django_who_do_not_run_the_tenant_are_answered_403(
        self, tenants: dict[str, Any], session: Callable[..., Client]
    ) -> None:
        staff = permit(User.objects.get(username="globex-staff"))
        Membership.objects.create(tenant=tenants["acme"], user=staff)
        assert session("globex-staff").get(PAGE).status_code == 403

    def test_staff_without_the_permission_are_answered_403(self, session: Callable[..., Client]) -> None:
        browser = session("acme-staff")
        assert browser.get(PAGE).status_code == 403
        assert PAGE not in browser.get("/admin/").content.decode()
        assert browser.get("/admin/realtime/").status_code == 404

    @pytest.mark.parametrize("username", ["acme-staff", "root"])
    def test_staff_with_the_permission_see_it(self, username: str, session: Callable[..., Client]) -> None:
        permit(User.objects.get(username="acme-staff"))
        browser = session(username)
        page = browser.get(PAGE)
        text = page.content.decode()
        assert page.status_code == 200
        assert 'data-feed="/ws/admin/live/"' in text
        nonce = page["content-security-policy"].split("'nonce-")[1].split("'")[0]
        assert f'<script type="importmap" nonce="{nonce}">' in text
        assert "style=" not in text
        assert PAGE in browser.get("/admin/").content.decode()


@pytest.mark.django_db
class TestFinding:
    """The page's searches besides the control endpoints."""

    @pytest.fixture(autouse=True)
    def _own_node(self) -> None:
        runtimes.install(None)

    def test_staff_find_users_of_their_tenant_and_no_tenants(self, session: Callable[..., Client]) -> None:
        permit(User.objects.get(username="acme-staff"))
        browser = session("acme-staff")
        found = browser.get(f"{PAGE}find/", {"kind": "user", "q": "MEMBER"}).json()
        assert [each["username"] for each in found["results"]] == ["acme-member"]
        assert browser.get(f"{PAGE}find/", {"kind": "tenant"}).status_code == 403

    def test_a_superuser_finds_all_and_suspended_tenants(
        self, tenants: dict[str, Any], session: Callable[..., Client]
    ) -> None:
        type(tenants["globex"]).objects.filter(slug="globex").update(is_active=False)
        browser = session("root")
        assert browser.get(f"{PAGE}find/", {"kind": "user", "q": "-member"}).json()["count"] == 2
        assert browser.get(f"{PAGE}find/", {"kind": "tenant", "q": "Glob"}).json()["results"] == [
            {"slug": "globex", "name": "Globex", "is_active": False}
        ]

    def test_without_the_permission_nothing_is_found(self, session: Callable[..., Client]) -> None:
        assert session("acme-staff").get(f"{PAGE}find/").status_code == 403

    @pytest.mark.parametrize(("username", "is_of_all"), [("acme-staff", False), ("root", True)])
    def test_the_page_knows_what_the_operator_may_do(
        self, username: str, is_of_all: bool, session: Callable[..., Client]
    ) -> None:
        permit(User.objects.get(username="acme-staff"))
        text = session(username).get(PAGE).content.decode()
        config = json.loads(text.split('id="live-config" type="application/json">')[1].split("<")[0])
        assert (bool(config["operator_orders"]), config["operator_is_of_all"]) == (is_of_all, is_of_all)
        assert (config["api_path"], config["host_tenant"]) == ("/api/realtime/", "acme")

    def test_without_the_control_endpoints_the_page_has_no_orders(
        self, session: Callable[..., Client], settings: Settings
    ) -> None:
        browser = session("root")
        settings.ROOT_URLCONF = "tests.fixtures.admin_only"
        text = browser.get(PAGE).content.decode()
        config = json.loads(text.split('id="live-config" type="application/json">')[1].split("<")[0])
        assert (config["api_path"], config["operator_orders"]) == ("", [])


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


@pytest.mark.django_db
class TestPast:
    """Return the figures of the samples."""

    @pytest.fixture(autouse=True)
    def _samples(self) -> None:
        runtimes.install(None)
        now_s = time()
        for age_s, messages in ((7_000.0, 90), (25.0, 20), (15.0, 40)):
            nodes = {
                "n1": Figures(
                    routes=[
                        RouteFigures("acme", "/ws/echo/", active=1, messages_in=messages),
                        RouteFigures("globex", "/ws/echo/", active=2, messages_in=10),
                    ],
                    gauges={"start_time": {"": now_s - 9_000}, "loop_lag": {"max": 0.002}},
                )
            }
            FiguresSample.objects.create(at_s=now_s - age_s, body=encode(Sample(now_s - age_s, 10.0, nodes)))

    def test_a_superuser_reads_the_values_of_a_range(self, session: Callable[..., Client]) -> None:
        browser = session("root")
        answer = browser.get(f"{PAGE}samples/", {"range_s": 300}).json()
        assert (answer["step_s"], len(answer["at"])) == (10.0, 2)
        assert answer["values"]["messages_in"] == [3, 5]
        assert answer["values"]["lag.n1"] == [2, 2]
        assert len(browser.get(f"{PAGE}samples/", {"range_s": 86_400}).json()["at"]) == 2
        of_one = browser.get(f"{PAGE}samples/", {"range_s": "300", "tenant": "globex", "node": "n1"}).json()
        assert (of_one["values"]["messages_in"], of_one["values"]["connections"]) == ([1, 1], [2, 2])

    def test_staff_read_their_own_tenant(self, session: Callable[..., Client]) -> None:
        permit(User.objects.get(username="acme-staff"))
        browser = session("acme-staff")
        answer = browser.get(f"{PAGE}samples/", {"range_s": 300}).json()
        assert answer["values"]["messages_in"] == [2, 4]
        assert "lag.n1" not in answer["values"]
        for tenant in ("globex", "no-such-tenant"):
            refused = browser.get(f"{PAGE}samples/", {"range_s": "300", "tenant": tenant})
            assert (refused.status_code, refused.json()) == (
                404,
                {"error": {"message": "There is no such tenant."}},
            )
        assert browser.get(f"{PAGE}health/").status_code == 403

    @pytest.mark.parametrize("range_s", ["", "0", "-1", "nan", "inf", "86401", "x"])
    def test_a_range_is_bounded(self, range_s: str, session: Callable[..., Client]) -> None:
        assert session("root").get(f"{PAGE}samples/", {"range_s": range_s}).status_code == 400

    def test_without_the_permission_there_is_no_past(self, session: Callable[..., Client]) -> None:
        browser = session("acme-staff")
        for name in ("samples", "health"):
            assert browser.get(f"{PAGE}{name}/", {"range_s": 300}).status_code == 403

    def test_a_strip_has_the_state_of_each_part_of_a_day(self, session: Callable[..., Client]) -> None:
        answer = session("root").get(f"{PAGE}health/").json()
        [strip] = answer["nodes"]
        assert (strip["node"], len(strip["cells"])) == ("n1", 86_400 / answer["cell_s"])
        assert 2 <= strip["cells"].count("o") <= 3
        assert set(strip["cells"]) == {"o", "."}


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


@pytest.mark.django_db
class TestDescriptionPages:
    @pytest.fixture(autouse=True)
    def _own_node(self) -> None:
        runtimes.install(None)

    def test_without_the_permission_there_is_nothing(self, session: Callable[..., Client]) -> None:
        browser = session("acme-staff")
        for name in ("errors", "node"):
            assert browser.get(f"{PAGE}{name}/", {"id": "x"}).status_code == 403

    def test_a_node_is_for_superusers_and_errors_for_staff_too(self, session: Callable[..., Client]) -> None:
        permit(User.objects.get(username="acme-staff"))
        assert session("acme-staff").get(f"{PAGE}node/", {"id": "x"}).status_code == 403
        # This process serves nothing, and there is no broker to ask others.
        for browser, name in ((session("root"), "node"), (session("acme-staff"), "errors")):
            answer = browser.get(f"{PAGE}{name}/", {"id": "x"})
            assert (answer.status_code, "error" in answer.json()) == (503, True)


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
