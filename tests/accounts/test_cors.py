"""Pages of other origins at the token endpoints: those of the settings and the tenant's own, without cookies."""

from typing import Any

import pytest
from django.test import Client
from pytest_django import Settings

from accounts.models import Domain, Tenant, User
from tests.accounts.conftest import ACME_HOST, GLOBEX_HOST, PASSWORD

APP = "https://app.example.com"
PATHS = ["token/", "token", "token/refresh/", "token/verify/", "token/revoke/", "ws-ticket/"]
ALLOW, CREDENTIALS = "Access-Control-Allow-Origin", "Access-Control-Allow-Credentials"


@pytest.fixture(autouse=True)
def _allowed(settings: Settings) -> None:
    settings.CORS_ALLOWED_ORIGINS = [APP]


def preflight(browser: Client, path: str, origin: str) -> Any:
    asked = {"access-control-request-method": "POST", "access-control-request-headers": "authorization"}
    return browser.options(f"/api/{path}", headers={"origin": origin, **asked})


@pytest.mark.parametrize("path", PATHS)
def test_an_allowed_origin_may_ask(acme: Tenant, browser: Client, path: str) -> None:
    answer = preflight(browser, path, APP)
    assert (answer.status_code, answer[ALLOW]) == (200, APP)
    assert "authorization" in answer["Access-Control-Allow-Headers"]
    assert "POST" in answer["Access-Control-Allow-Methods"]
    assert CREDENTIALS not in answer
    assert "origin" in answer["Vary"].lower()


def test_its_page_reads_tokens_and_refusals(alice: User, browser: Client) -> None:
    for password, status in ((PASSWORD, 200), ("wrong", 401)):
        body = {"username": "alice", "password": password}
        answer = browser.post("/api/token/", body, content_type="application/json", headers={"origin": APP})
        assert (answer.status_code, answer[ALLOW]) == (status, APP)
        assert CREDENTIALS not in answer
    for _ in range(10):
        answer = browser.post("/api/token/", body, content_type="application/json", headers={"origin": APP})
    assert (answer.status_code, answer[ALLOW]) == (429, APP)
    assert answer["Access-Control-Expose-Headers"] == "Retry-After"


STRANGERS = [
    "https://evil.example", "http://app.example.com", "https://app.example.com:8443", "null", "", "https://[x",
    "https://app.example.com.evil.example", f"http://{GLOBEX_HOST}", f"https://{ACME_HOST}",
    f"http://{ACME_HOST}:81",
]  # fmt: skip


@pytest.mark.parametrize("origin", STRANGERS)
def test_strangers_may_not(acme: Tenant, globex: Tenant, browser: Client, origin: str) -> None:
    for answer in (
        preflight(browser, "token/", origin),
        browser.post("/api/token/", {}, content_type="application/json", headers={"origin": origin}),
    ):
        assert ALLOW not in answer
        assert CREDENTIALS not in answer


def test_the_other_hosts_of_the_tenant_may(acme: Tenant, globex: Tenant, browser: Client) -> None:
    Domain.objects.create(tenant=acme, host="chat.acme.example")
    assert preflight(browser, "token/", "http://chat.acme.example")[ALLOW] == "http://chat.acme.example"
    other = Client(headers={"host": GLOBEX_HOST})
    assert ALLOW not in preflight(other, "token/", "http://chat.acme.example")


@pytest.mark.parametrize("path", ["/accounts/login/", "/api/schema/", "/chat/", "/api/tokens", "/healthz"])
def test_nothing_else_is_open(acme: Tenant, browser: Client, path: str) -> None:
    assert ALLOW not in browser.get(path, headers={"origin": APP})
