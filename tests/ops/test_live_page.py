"""The live page and its requests. Its socket: test_live_socket.py; in a browser: tests/browser."""

import json
from collections.abc import Callable
from time import time
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from pytest_django import Settings

from accounts.models import Membership, User
from realtime.core.figures import Figures, RouteFigures
from realtime.core.samples import Sample, encode
from realtime.models import FiguresSample
from realtime.node import node as runtimes

PAGE = "/admin/realtime/live/"


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
        day = browser.get(f"{PAGE}samples/", {"range_s": 86_400}).json()
        steps = {at_s // day["step_s"] for at_s in FiguresSample.objects.values_list("at_s", flat=True)}
        # The last two are in one step, unless it ends between them.
        assert len(day["at"]) == len(steps) < 4
        assert day["step_s"] > 100
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
