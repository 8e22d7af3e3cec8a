"""What a view that fails is answered with: programs get JSON, people a page, and a database that is away is 503."""

import logging
from typing import Any

import pytest
from django.db import OperationalError
from django.test import Client

from accounts.models import Tenant
from tests.accounts.conftest import ACME_HOST

CREDENTIALS = {"username": "alice", "password": "x"}
AWAY = OperationalError("connection failed: Connection refused")


def ask(
    browser: Client, monkeypatch: pytest.MonkeyPatch, path: str, error: Exception
) -> tuple[int, str, dict[str, Any] | None]:
    """Sign in while the backend fails; return the status, `Retry-After` and the JSON."""

    def fail(*_arguments: object, **_options: object) -> None:
        raise error

    monkeypatch.setattr("accounts.backends.MembershipBackend.authenticate", fail)
    browser.raise_request_exception = False
    response = browser.post(path, CREDENTIALS, headers={"host": ACME_HOST})
    is_json = response["Content-Type"] == "application/json"
    return response.status_code, response.get("Retry-After", ""), response.json() if is_json else None


@pytest.mark.parametrize("path", ["/api/token/", "/accounts/login/"])
def test_a_database_that_is_away_is_503_and_no_traceback(
    acme: Tenant,
    browser: Client,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    path: str,
) -> None:
    status, wait, body = ask(browser, monkeypatch, path, AWAY)
    assert (status, wait) == (503, "1")
    if path == "/api/token/":
        assert body is not None
        assert body["error"]["code"] == "busy"
    told = [each for each in caplog.records if "Connection refused" in each.getMessage()]
    assert [each.levelno for each in told] == [logging.ERROR]
    assert not [each for each in caplog.records if each.exc_info]


@pytest.mark.parametrize("path", ["/api/token/", "/accounts/login/"])
def test_a_database_that_is_away_for_middleware_is_503_too(
    acme: Tenant, browser: Client, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    def fail(*_arguments: object, **_options: object) -> None:
        raise AWAY

    monkeypatch.setattr("accounts.web.middleware.TenantSessionMiddleware.__call__", fail)
    browser.raise_request_exception = False
    response = browser.get(path, headers={"host": ACME_HOST})
    assert (response.status_code, response["Retry-After"]) == (503, "1")


def test_a_fault_of_ours_is_json_for_programs_and_a_page_for_people(
    acme: Tenant, browser: Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    status, _, body = ask(browser, monkeypatch, "/api/token/", RuntimeError("a secret"))
    assert status == 500
    assert body is not None
    assert body["error"]["code"] == "internal"
    assert "secret" not in str(body)
    assert ask(browser, monkeypatch, "/accounts/login/", RuntimeError("a secret")) == (500, "", None)
    assert len([each for each in caplog.records if each.exc_info]) == 2


def test_a_page_of_errors_without_static_files_says_what_to_run(
    acme: Tenant, browser: Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def is_missing(_storage: object, name: str, **_options: object) -> str:
        raise ValueError(f"Missing staticfiles manifest entry for {name!r}")

    monkeypatch.setattr("django.contrib.staticfiles.storage.StaticFilesStorage.url", is_missing)
    browser.raise_request_exception = False
    response = browser.get("/accounts/login/", headers={"host": ACME_HOST})
    assert (response.status_code, response["Content-Type"]) == (500, "text/plain")
    assert len([each for each in caplog.records if "collectstatic" in each.getMessage()]) == 1
    assert len([each for each in caplog.records if each.exc_info]) == 1
