"""The page's way in, and the socket behind it. What a browser makes of them: tests/browser."""

import json
import uuid
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from channels.testing import WebsocketCommunicator
from django.contrib.auth.models import Permission
from django.db import OperationalError
from django.test import Client

from accounts.credentials.identity import Authenticator
from accounts.models import Membership, User
from accounts.tenants import Directory
from realtime.conf import load_settings
from realtime.core.identity import CredentialKind, Identity, Tenant
from realtime.dashboard import access, consumer
from realtime.dashboard.consumer import LiveConsumer
from realtime.dashboard.feed import resident_mb
from realtime.endpoints.routing import websocket
from realtime.endpoints.shared import Endpoints
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
        assert node["node"] == runtime.id
        (connection,) = beat["connections"]
        assert (connection["user"], connection["route"]) == ("ada", "/ws/admin/live/")

    async def test_staff_are_told_of_their_tenant(self, runtime: Node) -> None:
        runtime.metrics.route("globex", "/ws/").opened()
        socket = await _connect(runtime)
        beat = await _next(socket, "live")
        await socket.disconnect()

        assert beat["tenant"] == "acme"
        assert beat["nodes"] == []
        assert "globex" not in str(beat)

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
        assert _row(await _next(socket, "live"), "/ws/echo/")["in_per_s"] == 0
        await _ask(socket, "live.start", interval_s=0.5)
        route.messages_in += 50
        assert 50 <= _row(await _next(socket, "live"), "/ws/echo/")["in_per_s"] <= 100
        await socket.disconnect()


def test_memory_is_that_of_a_python_process() -> None:
    memory_mb = resident_mb()
    assert memory_mb is None or 10 < memory_mb < 10_000


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
