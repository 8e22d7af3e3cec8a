"""Credentials and what they prove."""

import base64
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import jwt
import pytest
from django.conf import settings as django_settings
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries
from rest_framework_simplejwt.tokens import AccessToken

from accounts.credentials.identity import Authenticator
from accounts.credentials.sessions import SessionStore, session_key_hash
from accounts.models import Membership, Revocation, Tenant, User, UserSession
from realtime.core.identity import CredentialKind, Identity
from realtime.protocol.close_codes import CloseCode
from realtime.protocol.errors import Refusal
from tests.accounts.conftest import GLOBEX_HOST, Post, add_member, core, sign_in, tokens


@pytest.fixture
def authenticator() -> Authenticator:
    return Authenticator()


def refused(call: Callable[..., object], *args: object) -> tuple[int, str]:
    with pytest.raises(Refusal) as caught:
        call(*args)
    return caught.value.status, caught.value.code


def test_a_token_costs_no_query(
    alice: User,
    acme: Tenant,
    post: Post,
    authenticator: Authenticator,
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    access = tokens(post)["access"]
    with django_assert_num_queries(0):
        identity = authenticator.verify_token(access, core(acme))
    assert (identity.user_id, identity.username, identity.tenant) == (alice.pk, "alice", "acme")
    assert identity.kind is CredentialKind.TOKEN
    assert not identity.is_staff
    assert identity.expires_at is not None
    assert identity.expires_at.tzinfo is not None


def test_a_token_of_another_tenant_is_denied(
    alice: User, globex: Tenant, post: Post, authenticator: Authenticator
) -> None:
    access = tokens(post)["access"]
    assert refused(authenticator.verify_token, access, core(globex)) == (403, "tenant_denied")


def test_an_expired_token_is_refused(acme: Tenant, authenticator: Authenticator) -> None:
    token = AccessToken()
    token.payload |= {"user_id": 1, "username": "x", "tenant": "acme", "scopes": []}
    assert authenticator.verify_token(str(token), core(acme)).user_id == 1
    token.set_exp(lifetime=-timedelta(seconds=1))
    assert refused(authenticator.verify_token, str(token), core(acme)) == (401, "unauthenticated")


@pytest.mark.parametrize("spelling", ["0{}", "+{}", " {}", "{}.0", "-{}", ""])
def test_an_id_has_one_spelling(alice: User, authenticator: Authenticator, spelling: str) -> None:
    assert authenticator.knows_user(str(alice.pk), "acme")
    assert not authenticator.knows_user(spelling.format(alice.pk), "acme")
    assert not authenticator.sign_out_everywhere(spelling.format(alice.pk), None)


def forged(algorithm: str, key: str) -> str:
    claims = {
        "token_type": "access",
        "user_id": 1,
        "tenant": "acme",
        "scopes": [],
        "jti": "1",
        "exp": 9999999999,
    }
    if algorithm == "none":
        parts = [{"alg": "none", "typ": "JWT"}, claims]
        encoded = [
            base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts
        ]
        return ".".join([*encoded, ""])
    return jwt.encode(claims, key, algorithm=algorithm)


@pytest.mark.parametrize(("algorithm", "key"), [("none", ""), ("HS512", ""), ("HS256", "another-key" * 8)])
def test_forged_tokens_are_refused(
    acme: Tenant, authenticator: Authenticator, algorithm: str, key: str
) -> None:
    token = forged(algorithm, key or (django_settings.SECRET_KEY * 2))
    assert refused(authenticator.verify_token, token, core(acme)) == (401, "unauthenticated")


@pytest.mark.parametrize(
    "change",
    [
        {"scopes": "chat:read"},
        {"tenant": None},
        {"user_id": "x"},
        {"user_id": None},
        {"exp": 1e300},
        {"exp": "x"},
    ],
)
def test_odd_claims_are_refused(
    acme: Tenant, authenticator: Authenticator, change: dict[str, object]
) -> None:
    token = AccessToken()
    token.payload |= {"user_id": 1, "tenant": "acme", "scopes": []} | change
    assert refused(authenticator.verify_token, str(token), core(acme)) == (401, "unauthenticated")


@pytest.mark.parametrize("token", ["", "x", "a.b.c", "é.é.é", "\x00", "." * 5000])
def test_garbage_is_refused(acme: Tenant, authenticator: Authenticator, token: str) -> None:
    assert refused(authenticator.verify_token, token, core(acme)) == (401, "unauthenticated")


def test_a_session_proves_its_user(
    alice: User, acme: Tenant, browser: Client, authenticator: Authenticator
) -> None:
    sign_in(browser, "alice")
    key = browser.cookies["sessionid"].value
    loaded = authenticator.load_session(key, core(acme))
    identity = loaded.identity
    assert loaded.session_key == key
    assert identity is not None
    assert (identity.user_id, identity.kind) == (alice.pk, CredentialKind.SESSION)
    assert identity.session_key_hash == session_key_hash(key)
    assert identity.expires_at == UserSession.objects.get().expire_date
    assert authenticator.recheck([identity]) == {}


def test_a_session_nobody_signed_in_with_is_anonymous(acme: Tenant, authenticator: Authenticator) -> None:
    store = SessionStore(tenant_id=acme.pk)
    store["colour"] = "green"
    store.save()
    assert authenticator.load_session(str(store.session_key), core(acme)).identity is None


@pytest.mark.parametrize(
    "fault", ["tenant", "unknown", "expired", "password", "membership", "user", "unbound"]
)
def test_sessions_that_are_refused(
    alice: User, acme: Tenant, globex: Tenant, browser: Client, authenticator: Authenticator, fault: str
) -> None:
    Membership.objects.create(user=alice, tenant=globex)
    sign_in(browser, "alice")
    key = browser.cookies["sessionid"].value
    if fault == "unknown":
        key = "x" * 32
    elif fault == "expired":
        UserSession.objects.update(expire_date=timezone.now())
    elif fault == "password":
        alice.set_password("another one")
        alice.save(update_fields=["password"])
    elif fault == "membership":
        Membership.objects.filter(tenant=acme).delete()
    elif fault == "user":
        User.objects.update(is_active=False)
    elif fault == "unbound":
        store = SessionStore()
        store["colour"] = "green"
        store.save()
        key = str(store.session_key)
    tenant = globex if fault == "tenant" else acme
    assert refused(authenticator.load_session, key, core(tenant)) == (401, "unauthenticated")


@pytest.mark.parametrize("key", ["", "x", "a\x00b" * 9, "é" * 32, "x" * 5000, "' OR 1=1 --"])
def test_garbage_for_a_session_is_refused(acme: Tenant, authenticator: Authenticator, key: str) -> None:
    assert refused(authenticator.load_session, key, core(acme)) == (401, "unauthenticated")


def test_flushing_leaves_another_tenants_row(acme: Tenant, globex: Tenant) -> None:
    own = SessionStore(tenant_id=acme.pk)
    own["colour"] = "green"
    own.save()
    SessionStore(own.session_key, tenant_id=globex.pk).flush()
    assert SessionStore(own.session_key, tenant_id=acme.pk)["colour"] == "green"
    SessionStore(own.session_key, tenant_id=acme.pk).flush()
    assert not UserSession.objects.exists()


def test_values_saved_by_a_socket_stay_with_the_page(alice: User, acme: Tenant, browser: Client) -> None:
    sign_in(browser, "alice")
    store = SessionStore(browser.cookies["sessionid"].value)
    store["colour"] = "green"
    store.save()
    assert browser.session["colour"] == "green"
    assert browser.get("/accounts/password/").status_code == 200
    assert UserSession.objects.get().tenant == acme


@pytest.fixture
def identities(acme: Tenant, browser: Client, post: Post, authenticator: Authenticator) -> list[Identity]:
    """A token's and a session's, of a staff member."""
    add_member(acme, "erin", role=Membership.Role.STAFF)
    sign_in(browser, "erin")
    session = authenticator.load_session(browser.cookies["sessionid"].value, core(acme)).identity
    assert session is not None
    return [authenticator.verify_token(tokens(post, "erin")["access"], core(acme)), session]


def test_what_holds_is_left_alone(
    identities: list[Identity],
    authenticator: Authenticator,
    django_assert_max_num_queries: DjangoAssertNumQueries,
) -> None:
    with django_assert_max_num_queries(4):
        assert authenticator.recheck(identities) == {}
    assert authenticator.recheck([]) == {}


def test_a_suspended_tenant_takes_no_right_away(
    identities: list[Identity], authenticator: Authenticator
) -> None:
    """Its sockets close with 4404, and its tokens are remembered by no node as lost: it may go on."""
    Tenant.objects.update(is_active=False)
    assert authenticator.recheck(identities) == {}


@pytest.mark.parametrize("ending", ["user", "membership", "password", "role"])
def test_endings_that_concern_all(
    identities: list[Identity], authenticator: Authenticator, ending: str
) -> None:
    user = User.objects.get()
    if ending == "user":
        User.objects.update(is_active=False)
    elif ending == "membership":
        Membership.objects.update(is_active=False)
    elif ending == "role":
        Membership.objects.update(role=Membership.Role.MEMBER)
    else:
        user.set_password("another one")
        user.save(update_fields=["password"])
    gone = authenticator.recheck(identities)
    code = CloseCode.FORBIDDEN if ending == "membership" else CloseCode.UNAUTHENTICATED
    assert gone == dict.fromkeys(identities, code)


def test_signing_out_ends_the_session_only(
    identities: list[Identity], authenticator: Authenticator, browser: Client
) -> None:
    browser.post("/accounts/logout/")
    assert set(authenticator.recheck(identities)) == {identities[1]}


def test_a_revoked_family_ends_its_tokens_only(
    identities: list[Identity], authenticator: Authenticator
) -> None:
    Revocation.objects.create(
        kind=Revocation.Kind.FAMILY, value=identities[0].family, expires_at=timezone.now() + timedelta(days=1)
    )
    assert set(authenticator.recheck(identities)) == {identities[0]}


def test_an_expired_revocation_says_nothing(identities: list[Identity], authenticator: Authenticator) -> None:
    Revocation.objects.create(
        kind=Revocation.Kind.FAMILY, value=identities[0].family, expires_at=timezone.now()
    )
    assert authenticator.recheck(identities) == {}


def test_a_narrower_credential_outlives_a_lost_role(
    identities: list[Identity], authenticator: Authenticator
) -> None:
    narrow = replace(identities[0], scopes=frozenset({"chat:read"}), is_staff=False)
    Membership.objects.update(role=Membership.Role.MEMBER)
    assert authenticator.recheck([narrow]) == {}


def test_globex_knows_nothing_of_acmes_session(alice: User, globex: Tenant, browser: Client) -> None:
    sign_in(browser, "alice")
    key = browser.cookies["sessionid"].value
    browser.get("/accounts/login/", headers={"host": GLOBEX_HOST})
    assert UserSession.objects.get().session_key == key
