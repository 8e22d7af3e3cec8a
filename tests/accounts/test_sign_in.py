"""The sign-in pages, and sessions that belong to a tenant."""

import pytest
from django.test import Client
from pytest_django import DjangoCaptureOnCommitCallbacks

from accounts.credentials.sessions import SessionStore
from accounts.models import Membership, Tenant, User, UserSession
from realtime.core.revocations import Revocation as RevocationValue
from tests.accounts.conftest import ACME_HOST, GLOBEX_HOST, PASSWORD, Post, sign_in, tokens

PAGE = "/accounts/password/"


def is_signed_in(browser: Client, host: str = ACME_HOST) -> bool:
    return browser.get(PAGE, headers={"host": host}).status_code == 200


def test_a_member_signs_in_and_out(
    alice: User,
    browser: Client,
    revoked: list[RevocationValue],
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    assert not is_signed_in(browser)
    response = sign_in(browser, "alice")
    assert (response.status_code, response["Location"]) == (302, "/chat/")
    assert is_signed_in(browser)
    row = UserSession.objects.get()
    assert row.tenant is not None
    assert (row.user, row.tenant.slug) == (alice, "acme")
    with django_capture_on_commit_callbacks(execute=True):
        assert browser.post("/accounts/logout/").status_code == 302
    assert not is_signed_in(browser)
    assert revoked
    assert not UserSession.objects.filter(pk=row.pk).exists()


def test_signing_out_wants_a_post(alice: User, browser: Client) -> None:
    sign_in(browser, "alice")
    assert browser.get("/accounts/logout/").status_code == 405
    assert is_signed_in(browser)


@pytest.mark.parametrize("refused", ["password", "stranger", "former member", "inactive"])
def test_all_others_get_one_answer(alice: User, carol: User, browser: Client, refused: str) -> None:
    if refused == "former member":
        Membership.objects.filter(user=alice).update(is_active=False)
    if refused == "inactive":
        User.objects.filter(pk=alice.pk).update(is_active=False)
    name = "carol" if refused == "stranger" else "alice"
    response = sign_in(browser, name, password="wrong" if refused == "password" else PASSWORD)
    assert response.status_code == 200
    assert "Please enter a correct username and password" in response.content.decode()
    assert not is_signed_in(browser)


def test_a_session_is_worth_nothing_on_another_host(alice: User, globex: Tenant, browser: Client) -> None:
    Membership.objects.create(user=alice, tenant=globex)
    sign_in(browser, "alice")
    key = browser.cookies["sessionid"].value
    assert not is_signed_in(browser, GLOBEX_HOST)
    # The test client has one jar for all hosts; the answer took the worthless cookie away.
    browser.cookies["sessionid"] = key
    assert is_signed_in(browser)


def test_another_hosts_page_cannot_end_the_session(alice: User, globex: Tenant, browser: Client) -> None:
    sign_in(browser, "alice")
    key = browser.cookies["sessionid"].value
    browser.post("/accounts/logout/", headers={"host": GLOBEX_HOST})
    assert UserSession.objects.filter(session_key=key).exists()
    browser.cookies["sessionid"] = key
    assert is_signed_in(browser)


def test_signing_in_elsewhere_makes_another_session(alice: User, globex: Tenant, browser: Client) -> None:
    Membership.objects.create(user=alice, tenant=globex)
    sign_in(browser, "alice")
    sign_in(browser, "alice", host=GLOBEX_HOST)
    assert is_signed_in(browser, GLOBEX_HOST)
    assert set(UserSession.objects.values_list("tenant__slug", flat=True)) == {"acme", "globex"}


@pytest.mark.parametrize("ending", ["membership", "user", "tenant"])
def test_the_session_ends_with_what_it_stands_on(
    alice: User, acme: Tenant, browser: Client, ending: str
) -> None:
    sign_in(browser, "alice")
    assert is_signed_in(browser)
    if ending == "membership":
        Membership.objects.all().delete()
    elif ending == "user":
        User.objects.update(is_active=False)
    else:
        Tenant.objects.update(is_active=False)
    assert not is_signed_in(browser)


def test_the_eleventh_failure_is_held_back(alice: User, browser: Client) -> None:
    for _ in range(10):
        assert sign_in(browser, "alice", password="wrong").status_code == 200
    response = sign_in(browser, "alice")
    assert response.status_code == 429
    assert 0 < int(response["Retry-After"]) <= 60
    assert not is_signed_in(browser)


def test_changing_the_password_ends_everything_else(
    alice: User,
    browser: Client,
    post: Post,
    revoked: list[RevocationValue],
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    other = Client(headers={"host": ACME_HOST})
    sign_in(other, "alice")
    pair = tokens(post)
    sign_in(browser, "alice")
    body = {
        "old_password": PASSWORD,
        "new_password1": "s4ddle-and-bridle",
        "new_password2": "s4ddle-and-bridle",
    }
    with django_capture_on_commit_callbacks(execute=True):
        response = browser.post(PAGE, body)
    assert response.status_code == 302, response.content
    assert revoked
    assert is_signed_in(browser)
    assert not is_signed_in(other)
    assert post("token/verify/", {"token": pair["access"]}).status_code == 401
    assert post("token/refresh/", {"refresh": pair["refresh"]}).status_code == 401


@pytest.mark.parametrize("key", ["abcdefghij\0", "abcdefgh'", "äbcdefghij", "short", "", None])
def test_what_is_no_key_of_a_session_is_not_looked_up(key: str | None) -> None:
    """A quoted cookie may hold any character, and PostgreSQL takes no NUL."""
    assert SessionStore(key).session_key is None
    assert SessionStore("abcdefgh12345678").session_key is not None
