"""The token endpoints."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from pytest_django import DjangoCaptureOnCommitCallbacks, Settings
from rest_framework_simplejwt.tokens import AccessToken

from accounts.credentials.tokens import token_refresh
from accounts.models import Membership, Revocation, Tenant, User
from realtime.core.revocations import Revocation as RevocationValue
from realtime.protocol.close_codes import CloseCode
from realtime.protocol.errors import Refusal
from tests.accounts.conftest import GLOBEX_HOST, PASSWORD, Post, add_member, core, revocations_now, tokens

MEMBER = ["chat:read", "chat:write", "pubsub:publish", "websocket:access"]


def test_a_sign_in_gives_a_pair(alice: User, post: Post) -> None:
    response = post("token/", {"username": "alice", "password": PASSWORD})
    assert response.status_code == 200
    assert response["Cache-Control"] == "no-store"
    pair = response.json()
    assert set(pair) == {"access", "refresh", "expires_in", "scopes"}
    assert (pair["expires_in"], pair["scopes"]) == (900, MEMBER)
    claims = AccessToken(pair["access"]).payload
    assert (claims["user_id"], claims["tenant"], claims["scopes"]) == (alice.pk, "acme", MEMBER)
    assert {"jti", "exp", "iat", "fam"} <= set(claims)


@pytest.mark.parametrize("scopes", [["chat:read", "metrics:read"], "chat:read metrics:read"])
def test_scopes_narrow_and_never_widen(alice: User, post: Post, scopes: object) -> None:
    assert tokens(post, scopes=scopes)["scopes"] == ["chat:read"]


def test_staff_and_extra_scopes(acme: Tenant, post: Post) -> None:
    add_member(acme, "erin", role=Membership.Role.STAFF, extra_scopes=["reports:read"])
    held = tokens(post, "erin")["scopes"]
    assert held == sorted([*MEMBER, "metrics:read", "control:read", "control:write", "reports:read"])


@pytest.mark.parametrize(
    ("username", "password"), [("alice", "wrong"), ("carol", PASSWORD), ("nobody", PASSWORD)]
)
def test_strangers_get_401(alice: User, carol: User, post: Post, username: str, password: str) -> None:
    response = post("token/", {"username": username, "password": password})
    assert response.status_code == 401
    assert response["WWW-Authenticate"] == "Bearer"
    assert response.json() == {
        "error": {"code": "unauthenticated", "message": "The user name or the password is wrong."}
    }


@pytest.mark.parametrize(
    "body", [{}, {"username": "alice"}, {"username": "a", "password": "b", "scopes": [1]}]
)
def test_bad_bodies_get_400(acme: Tenant, post: Post, body: dict[str, object]) -> None:
    response = post("token/", body)
    assert response.status_code == 400
    error = response.json()["error"]
    assert error["code"] == "invalid_message"
    assert error["details"]


def test_ten_failures_for_a_name_hold_it_back(alice: User, acme: Tenant, browser: Client, post: Post) -> None:
    add_member(acme, "bob")
    for number in range(10):
        browser.defaults["REMOTE_ADDR"] = f"10.0.0.{number}"
        assert post("token/", {"username": "alice", "password": "wrong"}).status_code == 401
    browser.defaults["REMOTE_ADDR"] = "10.0.1.1"
    response = post("token/", {"username": "alice", "password": PASSWORD})
    assert response.status_code == 429
    assert response.json()["error"]["code"] == "rate_limited"
    assert 0 < int(response["Retry-After"]) <= 60
    assert tokens(post, "bob")


def test_ten_failures_of_an_address_hold_it_back(alice: User, browser: Client, post: Post) -> None:
    for number in range(10):
        assert post("token/", {"username": f"guess{number}", "password": "wrong"}).status_code == 401
    assert post("token/", {"username": "alice", "password": PASSWORD}).status_code == 429
    browser.defaults["REMOTE_ADDR"] = "10.0.1.1"
    assert tokens(post)


def test_successes_are_not_counted(alice: User, post: Post) -> None:
    for _ in range(15):
        tokens(post)


def test_refreshing_rotates_and_keeps_family_and_scopes(alice: User, post: Post) -> None:
    first = tokens(post, scopes="chat:read")
    response = post("token/refresh/", {"refresh": first["refresh"]})
    assert response.status_code == 200
    second = response.json()
    assert second["scopes"] == ["chat:read"]
    one, two = AccessToken(first["access"]).payload, AccessToken(second["access"]).payload
    assert one["fam"] == two["fam"]
    assert one["jti"] != two["jti"]
    assert post("token/refresh/", {"refresh": second["refresh"]}).status_code == 200


def test_a_refresh_token_used_twice_ends_its_family(
    alice: User,
    acme: Tenant,
    post: Post,
    revoked: list[RevocationValue],
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    first, other = tokens(post), tokens(post)
    second = post("token/refresh/", {"refresh": first["refresh"]}).json()
    third = post("token/refresh/", {"refresh": second["refresh"]}).json()
    with django_capture_on_commit_callbacks(execute=True):
        again = post("token/refresh/", {"refresh": first["refresh"]})
    assert (again.status_code, again.json()["error"]["code"]) == (401, "unauthenticated")
    family = AccessToken(first["access"]).payload["fam"]
    assert [(each.kind, each.user_id, each.name) for each in revoked] == [("family", alice.pk, family)]
    assert post("token/refresh/", {"refresh": third["refresh"]}).status_code == 401
    ends = revocations_now()
    for access in (first["access"], second["access"], third["access"]):
        assert post("token/verify/", {"token": access}).status_code == 401
        assert ends(access, acme) is CloseCode.UNAUTHENTICATED
    assert ends(other["access"], acme) is None
    assert post("token/refresh/", {"refresh": other["refresh"]}).status_code == 200
    # Trying on and on writes nothing more.
    for _ in range(3):
        assert post("token/refresh/", {"refresh": first["refresh"]}).status_code == 401
    assert Revocation.objects.count() == 1


def test_refreshing_narrows_to_what_is_held_now(acme: Tenant, post: Post) -> None:
    add_member(acme, "erin", role=Membership.Role.STAFF)
    pair = tokens(post, "erin")
    Membership.objects.update(role=Membership.Role.MEMBER)
    assert post("token/refresh/", {"refresh": pair["refresh"]}).json()["scopes"] == MEMBER


@pytest.mark.parametrize("ending", ["membership", "user", "password", "family"])
def test_refreshing_is_refused_when_it_no_longer_holds(alice: User, post: Post, ending: str) -> None:
    pair = tokens(post)
    if ending == "membership":
        Membership.objects.update(is_active=False)
    elif ending == "user":
        User.objects.update(is_active=False)
    elif ending == "password":
        alice.set_password("another one")
        alice.save(update_fields=["password"])
    else:
        post("token/revoke/", {"refresh": pair["refresh"]})
    assert post("token/refresh/", {"refresh": pair["refresh"]}).status_code == 401
    assert post("token/verify/", {"token": pair["access"]}).status_code == 401


def test_refreshing_elsewhere_is_refused(alice: User, globex: Tenant, post: Post) -> None:
    Membership.objects.create(user=alice, tenant=globex)
    pair = tokens(post)
    response = post("token/refresh/", {"refresh": pair["refresh"]}, host=GLOBEX_HOST)
    assert (response.status_code, response.json()["error"]["code"]) == (403, "tenant_denied")
    assert post("token/refresh/", {"refresh": pair["refresh"]}).status_code == 200


def test_access_and_refresh_tokens_are_not_one_another(alice: User, post: Post) -> None:
    pair = tokens(post)
    assert post("token/refresh/", {"refresh": pair["access"]}).status_code == 401
    assert post("token/verify/", {"token": pair["refresh"]}).status_code == 401
    assert post("ws-ticket/", {}, token=pair["refresh"]).status_code == 401


def test_verify(alice: User, globex: Tenant, post: Post) -> None:
    access = tokens(post)["access"]
    good = post("token/verify/", {"token": access})
    assert (good.status_code, good.json()) == (200, {})
    assert post("token/verify/", {"token": access + "x"}).status_code == 401
    assert post("token/verify/", {"token": access}, host=GLOBEX_HOST).status_code == 401


def test_revoking_ends_the_whole_family(
    alice: User,
    acme: Tenant,
    post: Post,
    revoked: list[RevocationValue],
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    first = tokens(post)
    second = post("token/refresh/", {"refresh": first["refresh"]}).json()
    other = tokens(post)
    with django_capture_on_commit_callbacks(execute=True):
        response = post("token/revoke/", {"refresh": first["refresh"]})
    assert (response.status_code, response.json()) == (200, {})
    assert revoked
    assert post("token/refresh/", {"refresh": second["refresh"]}).status_code == 401
    ends = revocations_now()
    for access in (first["access"], second["access"]):
        assert ends(access, acme) is CloseCode.UNAUTHENTICATED
    assert ends(other["access"], acme) is None


def test_a_revocation_outlives_the_refresh_tokens(alice: User, post: Post, settings: Settings) -> None:
    post("token/revoke/", {"refresh": tokens(post)["refresh"]})
    row = Revocation.objects.get()
    assert row.expires_at - row.created_at >= timedelta(seconds=settings.ENV.refresh_token_lifetime_s - 1)


def test_errors_have_one_shape(acme: Tenant, browser: Client, post: Post) -> None:
    assert browser.get("/api/token/verify/").json()["error"]["code"] == "method_not_allowed"
    assert post("ws-ticket/", {}).json()["error"]["code"] == "unauthenticated"
    broken = browser.post("/api/token/", "{", content_type="application/json")
    assert (broken.status_code, broken.json()["error"]["code"]) == (400, "invalid_message")


def test_the_browsable_page_works(acme: Tenant, browser: Client) -> None:
    page = browser.get("/api/token/", headers={"accept": "text/html"})
    assert "<form" in page.content.decode()


def test_of_ten_refreshes_at_once_one_wins(
    transactional_db: None, alice: User, acme: Tenant, post: Post
) -> None:
    refresh = tokens(post)["refresh"]
    tenant = core(acme)

    def attempt(_: int) -> bool:
        try:
            token_refresh(refresh, tenant)
        except Refusal:
            return False
        finally:
            connection.close()
        return True

    with ThreadPoolExecutor(5) as pool:
        assert sum(pool.map(attempt, range(10))) == 1
