"""Refused forms: two tabs with the sign-in page, and proxies that do not pass on scheme or port."""

import re
from typing import Any

import pytest
from django.test import Client
from pytest_django import Settings

from accounts.models import User
from tests.accounts.conftest import ACME_HOST, PASSWORD

SIGN_IN = "/accounts/login/"


@pytest.fixture
def strict() -> Client:
    """A browser whose forms are checked."""
    return Client(enforce_csrf_checks=True, headers={"host": ACME_HOST})


def token_of(page: Any) -> str:
    found = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page.content.decode())
    assert found
    return found[1]


def send(browser: Client, page: str, token: str, **headers: str) -> Any:
    body = {"username": "alice", "password": PASSWORD, "csrfmiddlewaretoken": token}
    return browser.post(page, body, headers=headers)


@pytest.mark.parametrize("page", [SIGN_IN, "/admin/login/"])
def test_of_two_tabs_the_second_is_let_in_too(alice: User, strict: Client, page: str) -> None:
    User.objects.update(is_staff=True)
    first, second = (token_of(strict.get(page)) for _ in range(2))
    assert send(strict, f"{page}?next=/chat/%23room-7", first).status_code == 302
    answer = send(strict, f"{page}?next=/chat/%23room-7", second)
    assert (answer.status_code, answer["Location"]) == (302, "/chat/#room-7")
    elsewhere = send(strict, f"{page}?next=https://evil.example/", second)
    assert elsewhere["Location"] == ("/chat/" if page == SIGN_IN else "/admin/")


def test_an_old_form_does_nothing_for_somebody_who_is_not_signed_in(alice: User, strict: Client) -> None:
    old = token_of(strict.get(SIGN_IN))
    assert send(strict, SIGN_IN, old).status_code == 302
    strict.post("/accounts/logout/", {"csrfmiddlewaretoken": strict.cookies["csrftoken"].value})
    answer = send(strict, SIGN_IN, old)
    assert answer.status_code == 403
    assert f'href="{SIGN_IN}"' in answer.content.decode()
    assert "too old" in answer.content.decode()


def test_without_the_cookie_the_page_speaks_of_cookies(alice: User, strict: Client) -> None:
    token = token_of(strict.get(SIGN_IN))
    strict.cookies.clear()
    answer = send(strict, SIGN_IN, token)
    assert answer.status_code == 403
    assert "sent no cookie" in answer.content.decode()


@pytest.mark.parametrize(
    ("origin", "forwarded", "cause"),
    [
        ("https://acme.localhost:8443", {"x-forwarded-proto": "https"}, "does not pass on the port"),
        ("https://acme.localhost", {}, "X-Forwarded-Proto"),
        ("https://acme.localhost:8443", {}, "X-Forwarded-Proto"),
    ],
)
def test_a_proxy_that_says_too_little_is_named_and_can_be_helped(
    alice: User, strict: Client, settings: Settings, origin: str, forwarded: dict[str, str], cause: str
) -> None:
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    token = token_of(strict.get(SIGN_IN, headers=forwarded))
    answer = send(strict, SIGN_IN, token, origin=origin, **forwarded)
    page = answer.content.decode()
    assert answer.status_code == 403
    assert cause in page
    assert f"<code>{origin}</code>" in page
    assert "REALTIME_ALLOWED_ORIGINS" in page
    settings.CSRF_TRUSTED_ORIGINS = [origin]
    # Another one, because Django reads the setting once.
    helped = Client(enforce_csrf_checks=True, headers={"host": ACME_HOST})
    helped.cookies = strict.cookies
    assert send(helped, SIGN_IN, token, origin=origin, **forwarded).status_code == 302


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://acme.localhost.evil.example", "<b>"]
)
def test_another_sites_form_is_refused_and_no_setting_is_named(
    alice: User, strict: Client, origin: str
) -> None:
    token = token_of(strict.get(SIGN_IN))
    for _ in range(2):
        answer = send(strict, SIGN_IN, token, origin=origin)
        assert answer.status_code == 403
        assert "another address" in answer.content.decode()
        assert "REALTIME_ALLOWED_ORIGINS" not in answer.content.decode()
        assert "<code><b>" not in answer.content.decode()
        # Also once the browser is signed in.
        send(strict, SIGN_IN, token)
