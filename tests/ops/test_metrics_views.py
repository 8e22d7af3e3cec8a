import tomllib
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from drf_spectacular.generators import SchemaGenerator
from prometheus_client.parser import text_string_to_metric_families

from realtime.control.keys import create_key
from tests.docs.pages import ROOT
from tests.ops.conftest import METRICS_TOKEN, Process

JSON_PAGE = "/metrics/websocket"
PROMETHEUS_PAGE = "/metrics"
PAGES = [JSON_PAGE, PROMETHEUS_PAGE]
OPERATOR = {"authorization": f"Bearer {METRICS_TOKEN}"}

Session = Callable[..., Client]
Token = Callable[..., dict[str, str]]

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("process", "tenants")]


def get(page: str, headers: dict[str, str] | None = None, *, host: str = "acme.localhost") -> Any:
    return Client().get(page, headers={"host": host} | (headers or {}))


def tenants_shown(response: Any) -> set[str]:
    assert response.status_code == 200, response.content
    if response["content-type"].startswith("application/json"):
        return set(response.json()["tenants"])
    families = text_string_to_metric_families(response.content.decode())
    return {
        sample.labels["tenant"]
        for family in families
        for sample in family.samples
        if "tenant" in sample.labels
    }


def assert_error(response: Any, status: int, code: str) -> None:
    assert response.status_code == status
    assert response["content-type"] == "application/json"
    assert response.json()["error"]["code"] == code
    assert response.json()["error"]["message"]


@pytest.mark.parametrize("page", PAGES)
class TestAccess:
    def test_nobody_is_answered_401(self, page: str) -> None:
        response = get(page)
        assert_error(response, 401, "unauthenticated")
        assert response["www-authenticate"] == "Bearer"

    def test_a_member_is_answered_403(self, page: str, session: Session, token: Token) -> None:
        assert_error(session("acme-member").get(page), 403, "permission_denied")
        assert_error(get(page, token("acme-member")), 403, "permission_denied")

    def test_staff_see_their_tenant(self, page: str, session: Session) -> None:
        assert tenants_shown(session("acme-staff").get(page)) == {"acme"}
        assert tenants_shown(session("globex-staff", "globex").get(page)) == {"globex"}

    def test_a_staff_session_is_worth_nothing_on_another_host(self, page: str, session: Session) -> None:
        browser = session("acme-staff")
        assert browser.get(page).status_code == 200
        assert_error(browser.get(page, headers={"host": "globex.localhost"}), 401, "unauthenticated")

    def test_a_token_with_the_scope_sees_its_tenant(self, page: str, token: Token) -> None:
        assert tenants_shown(get(page, token("acme-staff"))) == {"acme"}
        assert tenants_shown(get(page, token("root"))) == {"acme"}

    def test_a_token_without_the_scope_is_answered_403(self, page: str, token: Token) -> None:
        assert_error(get(page, token("acme-staff", scopes=["chat:read"])), 403, "permission_denied")

    def test_a_token_of_another_tenant_is_answered_403(self, page: str, token: Token) -> None:
        assert_error(get(page, token("globex-staff", "globex")), 403, "tenant_denied")

    def test_a_superuser_session_sees_all(self, page: str, session: Session) -> None:
        assert tenants_shown(session("root").get(page)) == {"acme", "globex"}

    def test_the_operator_sees_all(self, page: str) -> None:
        assert tenants_shown(get(page, OPERATOR)) == {"acme", "globex"}

    def test_a_key_sees_its_tenant_or_all(self, page: str) -> None:
        for tenant, shown in (("acme", {"acme"}), ("", {"acme", "globex"})):
            _, secret = create_key("board", ["metrics:read"], tenant=tenant)
            assert tenants_shown(get(page, {"authorization": f"Bearer {secret}"})) == shown
        _, secret = create_key("reader", ["control:read"])
        assert_error(get(page, {"authorization": f"Bearer {secret}"}), 403, "permission_denied")

    @pytest.mark.parametrize("value", ["wrong", METRICS_TOKEN + "x", "", METRICS_TOKEN[:-1]])
    def test_a_bad_token_is_answered_401(self, page: str, value: str) -> None:
        assert_error(get(page, {"authorization": f"Bearer {value}"}), 401, "unauthenticated")

    def test_a_bad_token_never_falls_back_to_the_session(self, page: str, session: Session) -> None:
        response = session("root").get(page, headers={"authorization": "Bearer wrong"})
        assert_error(response, 401, "unauthenticated")

    def test_without_a_setting_nobody_is_the_operator(self, page: str, process: Process) -> None:
        process.settings.METRICS_TOKEN = ""
        assert_error(get(page, OPERATOR), 401, "unauthenticated")
        assert_error(get(page, {"authorization": "Bearer "}), 401, "unauthenticated")


class TestJson:
    def test_figures(self) -> None:
        body = get(JSON_PAGE, OPERATOR).json()
        assert body["node"] == "n1"
        assert body["active_connections"] == 3
        assert body["total_messages"] == 30
        assert body["total_errors"] == 2
        assert body["totals"]["refused"] == {"403": 2}
        assert body["tenants"]["acme"]["active_connections"] == 2
        assert [(row["tenant"], row["route"]) for row in body["routes"]] == [
            ("acme", "/ws/chat/"),
            ("globex", "/ws/chat/"),
        ]

    def test_totals_of_a_tenant_are_its_own(self, session: Session) -> None:
        body = session("globex-staff", "globex").get(JSON_PAGE).json()
        assert (body["active_connections"], body["total_messages"], body["total_errors"]) == (1, 10, 1)

    def test_any_accept_is_answered_in_json(self) -> None:
        assert get(JSON_PAGE, OPERATOR | {"accept": "text/html"})["content-type"] == "application/json"


class TestPrometheus:
    def test_text_parses(self) -> None:
        response = get(PROMETHEUS_PAGE, OPERATOR)
        assert response["content-type"].startswith("text/plain; version=")
        samples = {
            (sample.name, sample.labels.get("tenant")): sample.value
            for family in text_string_to_metric_families(response.content.decode())
            for sample in family.samples
        }
        assert samples["realtime_connections", "acme"] == 2
        assert samples["realtime_messages_received_total", "globex"] == 10
        assert samples["realtime_errors_total", "acme"] == 1
        assert samples["realtime_connections_refused_total", "acme"] == 1
        assert samples["realtime_build_info", None] == 1
        assert samples["realtime_loop_lag_seconds", None] == 0
        assert samples["process_resident_memory_bytes", None] > 0

    def test_the_worker_is_named_and_the_node_is_not(self, process: Process) -> None:
        text = get(PROMETHEUS_PAGE, OPERATOR).content.decode()
        series = [line for line in text.splitlines() if not line.startswith("#")]
        assert all('worker="0"' in line for line in series)
        assert f'"{process.id}"' not in text

    def test_publications_that_never_failed_are_0(self) -> None:
        # Prometheus sees no rise of a series that begins at 1, and the alert would miss the first failures.
        text = get(PROMETHEUS_PAGE, OPERATOR).content.decode()
        for tenant in ("acme", "globex"):
            assert f'realtime_publish_failures_total{{tenant="{tenant}",worker="0"}} 0.0' in text

    def test_the_version_is_the_projects(self) -> None:
        written = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
        assert (
            f'realtime_build_info{{version="{written}",worker="0"}} 1.0'
            in get(PROMETHEUS_PAGE, OPERATOR).content.decode()
        )

    def test_the_cluster_is_one(self) -> None:
        response = get(f"{PROMETHEUS_PAGE}?scope=cluster", OPERATOR)
        assert tenants_shown(response) == {"acme", "globex"}
        assert "worker=" not in response.content.decode()
        assert_error(get(f"{PROMETHEUS_PAGE}?scope=moon", OPERATOR), 400, "invalid_message")

    def test_histograms_and_process(self, process: Process) -> None:
        process.metrics.request_times.observe(0.003)
        process.metrics.request_times.observe(99.0)
        process.metrics.recovered(is_full=False)
        process.metrics.http_answered(200)
        text = get(PROMETHEUS_PAGE, OPERATOR).content.decode()
        name = "realtime_request_duration_seconds"
        for line in (
            f'{name}_bucket{{le="0.0025",worker="0"}} 0.0',
            f'{name}_bucket{{le="0.005",worker="0"}} 1.0',
            f'{name}_bucket{{le="+Inf",worker="0"}} 2.0',
            f'{name}_count{{worker="0"}} 2.0',
            'realtime_recoveries_total{result="failed",worker="0"} 1.0',
            'realtime_http_requests_total{status="200",worker="0"} 1.0',
        ):
            assert line in text

    def test_openmetrics_where_asked(self) -> None:
        accept = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"
        response = get(PROMETHEUS_PAGE, OPERATOR | {"accept": accept})
        assert response["content-type"].startswith("application/openmetrics-text")
        assert response.content.endswith(b"# EOF\n")

    def test_a_tenant_learns_nothing_of_the_process(self, session: Session) -> None:
        text = session("acme-staff").get(PROMETHEUS_PAGE).content.decode()
        assert "realtime_connections{" in text
        assert "process_" not in text
        assert "realtime_loop_lag" not in text

    def test_scraped_by_address(self) -> None:
        assert tenants_shown(get(PROMETHEUS_PAGE, OPERATOR, host="10.0.0.7")) == {"acme", "globex"}
        assert_error(get(PROMETHEUS_PAGE, host="10.0.0.7"), 401, "unauthenticated")
        assert_error(
            get(PROMETHEUS_PAGE, {"authorization": "Bearer x"}, host="10.0.0.7"), 401, "unauthenticated"
        )


def test_the_schema_names_every_page_and_way_in() -> None:
    schema = SchemaGenerator().get_schema(request=None, public=True)
    for page in (*PAGES, "/healthz", "/readyz"):
        assert schema["paths"][page]["get"]["summary"]
    assert {"metricsToken": []} in schema["paths"][PROMETHEUS_PAGE]["get"]["security"]


def test_the_schema_types_every_control_endpoint() -> None:
    schema = SchemaGenerator().get_schema(request=None, public=True)
    ours = {path: methods for path, methods in schema["paths"].items() if path.startswith("/api/realtime/")}
    assert len(ours) >= 20
    for path, methods in ours.items():
        for method, operation in methods.items():
            where = f"{method} {path}"
            assert operation["summary"], where
            assert {"apiKey": []} in operation["security"], where
            content = operation["responses"]["200"]["content"]
            assert all(body["schema"] for body in content.values()), where
            assert operation["responses"]["403"]["content"], where
            if method == "post":
                assert operation["requestBody"]["content"]["application/json"]["schema"], where
