"""Django's users and sessions, and tokens of REST framework, as the identity of a socket."""

from collections.abc import Iterator
from importlib import import_module
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.test import RequestFactory
from pytest_django import DjangoAssertNumQueries, Settings
from rest_framework.settings import api_settings
from rest_framework_simplejwt.exceptions import TokenError
from rest_framework_simplejwt.tokens import AccessToken, RefreshToken

from accounts.models import User
from realtime import CloseCode, DjangoIdentity, Identity, Refusal, RequestError, Tenant
from realtime.core.identity import CredentialKind
from realtime.core.revocations import Revocation
from realtime.defaults import signals

pytestmark = pytest.mark.django_db
MAIN = Tenant(1, "main")
BACKEND = "django.contrib.auth.backends.ModelBackend"
ENGINES = ["db", "cached_db", "cache"]


@pytest.fixture(autouse=True)
def _plain_django(settings: Settings) -> Iterator[None]:
    settings.AUTHENTICATION_BACKENDS = [BACKEND]
    settings.SESSION_ENGINE = "accounts.credentials.sessions"
    settings.REST_FRAMEWORK = {}
    yield
    api_settings.reload()


@pytest.fixture
def ann() -> User:
    return User.objects.create_user("ann", password="first")


def signed_in(user: User, **more: Any) -> Any:
    """A stored session of the user."""
    session = import_module(django_settings.SESSION_ENGINE).SessionStore()
    session.update(
        {
            SESSION_KEY: str(user.pk),
            BACKEND_SESSION_KEY: BACKEND,
            HASH_SESSION_KEY: user.get_session_auth_hash(),
            **more,
        }
    )
    session.save()
    return session


def identity_of(session: Any) -> Identity:
    identity = DjangoIdentity().load_session(session.session_key, MAIN).identity
    assert identity is not None
    return identity


def is_refused(session_key: str) -> bool:
    try:
        DjangoIdentity().load_session(session_key, MAIN)
    except Refusal as refusal:
        return refusal.status == 401
    return False


def test_a_session_is_its_user(ann: User) -> None:
    session = signed_in(ann)
    identity = identity_of(session)
    assert (identity.user_id, identity.username, identity.tenant) == (ann.pk, "ann", "main")
    assert (identity.kind, identity.is_staff, identity.is_superuser) == (CredentialKind.SESSION, False, False)
    assert identity.scopes == {"pubsub:publish"}
    assert identity.expires_at is not None
    assert session.session_key not in repr(identity)


def test_a_session_nobody_signed_in_with_has_no_identity() -> None:
    session = import_module(django_settings.SESSION_ENGINE).SessionStore()
    session.save()
    loaded = DjangoIdentity().load_session(session.session_key, MAIN)
    assert (loaded.session_key, loaded.identity) == (session.session_key, None)


@pytest.mark.parametrize("key", ["", "unknown0unknown0", "\0" * 32, "é" * 32, "x" * 5000])
def test_a_session_that_is_not_there_is_refused(key: str) -> None:
    assert is_refused(key)


def test_a_session_is_refused_when_its_user_may_not_sign_in(ann: User, settings: Settings) -> None:
    session = signed_in(ann)
    assert not is_refused(session.session_key)
    assert is_refused(signed_in(ann, **{HASH_SESSION_KEY: "of another password"}).session_key)
    assert is_refused(signed_in(ann, **{BACKEND_SESSION_KEY: "gone.Backend"}).session_key)
    User.objects.update(is_active=False)
    assert is_refused(session.session_key)


def test_a_session_signed_by_a_former_secret_key_is_good(ann: User, settings: Settings) -> None:
    session = signed_in(ann)
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "a newer one"
    assert identity_of(session).username == "ann"


@pytest.mark.parametrize("engine", ENGINES)
def test_a_session_of_any_engine_ends_for_its_sockets(ann: User, settings: Settings, engine: str) -> None:
    settings.SESSION_ENGINE = f"django.contrib.sessions.backends.{engine}"
    session = signed_in(ann)
    identity = identity_of(session)
    assert DjangoIdentity().recheck([identity]) == {}
    session.flush()
    assert set(DjangoIdentity().recheck([identity])) == {identity}


def test_a_session_in_a_cookie_is_its_user_until_the_password_changes(ann: User, settings: Settings) -> None:
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"
    identity = identity_of(signed_in(ann))
    assert DjangoIdentity().recheck([identity]) == {}
    ann.set_password("second")
    ann.save()
    assert set(DjangoIdentity().recheck([identity])) == {identity}


@pytest.mark.parametrize(
    "change", ["sign out", "password", "deactivate", "delete", "staff", "superuser", "nothing"]
)
def test_a_recheck_finds_what_was_taken_away(ann: User, change: str) -> None:
    ann.is_staff = ann.is_superuser = True
    ann.save()
    session = signed_in(ann)
    identity = identity_of(session)
    if change == "sign out":
        session.flush()
    elif change == "password":
        ann.set_password("second")
        ann.save()
    elif change == "deactivate":
        User.objects.update(is_active=False)
    elif change == "delete":
        ann.delete()
    elif change in {"staff", "superuser"}:
        User.objects.update(**{f"is_{change}": False})
    expected = {} if change == "nothing" else {identity: CloseCode.UNAUTHENTICATED}
    assert DjangoIdentity().recheck([identity]) == expected


def test_a_recheck_of_many_makes_two_queries(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    held = [identity_of(signed_in(User.objects.create_user(f"u{at}", password="x"))) for at in range(10)]
    with django_assert_num_queries(2):
        assert DjangoIdentity().recheck(held) == {}


def test_a_token_of_simplejwt_is_its_user(ann: User) -> None:
    identity = DjangoIdentity().verify_token(str(AccessToken.for_user(ann)), MAIN)
    assert (identity.user_id, identity.username, identity.kind) == (ann.pk, "ann", CredentialKind.TOKEN)
    assert identity.expires_at is not None
    assert DjangoIdentity().recheck([identity]) == {}
    User.objects.update(is_active=False)
    assert set(DjangoIdentity().recheck([identity])) == {identity}


@pytest.mark.parametrize(
    "token", ["", "a.b.c", "nonsense", "é", "a b", "\U0001f4a5", "\u0663", "\ufeff", "\ud800", "a\nb"]
)
def test_a_bad_token_is_refused(ann: User, token: str) -> None:
    for bad in (token, str(RefreshToken.for_user(ann)), str(AccessToken.for_user(ann)) + "x"):
        with pytest.raises(Refusal) as refused:
            DjangoIdentity().verify_token(bad, MAIN)
        assert refused.value.status == 401


class Keys:
    """An authenticator as TokenAuthentication of REST framework, with a table in memory."""

    users: dict[str, User] = {}

    def authenticate(self, request: Any) -> tuple[User, str] | None:
        scheme, _, key = request.META["HTTP_AUTHORIZATION"].partition(" ")
        assert scheme == "Token"
        user = self.users.get(key)
        return None if user is None else (user, key)

    def authenticate_header(self, request: Any) -> str:
        return "Token"


def test_a_token_without_an_end_is_asked_about_again(ann: User, settings: Settings) -> None:
    settings.REST_FRAMEWORK = {"DEFAULT_AUTHENTICATION_CLASSES": [f"{__name__}.Keys"]}
    Keys.users = {"secret": ann}
    authenticator = DjangoIdentity()
    identity = authenticator.verify_token("secret", MAIN)
    assert identity.expires_at is None
    assert authenticator.recheck([identity]) == {}
    Keys.users = {}
    assert set(authenticator.recheck([identity])) == {identity}


def test_other_scopes_come_from_a_class_of_ones_own(ann: User) -> None:
    class Own(DjangoIdentity):
        def scopes_of(self, user: Any) -> frozenset[str]:
            return super().scopes_of(user) | {f"{user.get_username()}:read"}

    identity = Own().load_session(signed_in(ann).session_key, MAIN).identity
    assert identity is not None
    assert identity.scopes == {"pubsub:publish", "ann:read"}


def test_a_sign_out_ends_the_sockets_of_its_session_at_once(
    ann: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Revocation] = []
    monkeypatch.setattr(signals, "revoke", told.extend)
    session, other = signed_in(ann), signed_in(ann)
    request = RequestFactory().post("/")
    request.session = session
    signals._signed_out(request=request, user=ann)
    [revocation] = told
    assert revocation.ends(identity_of(session)) is CloseCode.UNAUTHENTICATED
    assert revocation.ends(identity_of(other)) is None


@pytest.mark.parametrize(
    ("update_fields", "is_told"), [(None, True), (["last_login"], False), (["last_login", "password"], True)]
)
def test_a_changed_user_is_asked_about_at_once(
    ann: User, monkeypatch: pytest.MonkeyPatch, update_fields: list[str] | None, is_told: bool
) -> None:
    told: list[Any] = []
    monkeypatch.setattr(signals, "_recheck", lambda key, using: told.append((key, using)))
    signals._saved(instance=ann, created=False, update_fields=update_fields, using="default")
    assert told == ([(ann.pk, "default")] if is_told else [])


@pytest.mark.parametrize("user_id", ["0", "-1", "x", "", "1.5", "9" * 30, "\u0661", "07"])
def test_a_key_that_is_no_users_is_known_to_nobody(ann: User, user_id: str) -> None:
    assert DjangoIdentity().knows_user(str(ann.pk), "main")
    assert not DjangoIdentity().knows_user(user_id, None)
    assert not DjangoIdentity().sign_out_everywhere(user_id, None)
    assert not DjangoIdentity().knows_user(f"0{ann.pk}", None)


def test_signing_out_everywhere_ends_the_sessions_and_tokens_of_one_user(
    ann: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []
    monkeypatch.setattr("realtime.defaults.identity.recheck", asked.append)
    bob = User.objects.create_user("bob", password="x")
    sessions = [signed_in(ann), signed_in(ann)]
    held, others = identity_of(sessions[0]), identity_of(signed_in(bob))
    refresh = RefreshToken.for_user(ann)
    assert DjangoIdentity().sign_out_everywhere(str(ann.pk), "main")
    assert DjangoIdentity().recheck([held, others]) == {held: CloseCode.UNAUTHENTICATED}
    assert asked == [ann.pk]
    with pytest.raises(TokenError, match="blacklisted"):
        RefreshToken(str(refresh))  # type: ignore[arg-type]  # takes texts
    # There is nothing left to do.
    assert DjangoIdentity().sign_out_everywhere(str(ann.pk), None)


def test_sessions_without_rows_cannot_be_ended_and_that_is_said(ann: User, settings: Settings) -> None:
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"
    with pytest.raises(RequestError) as refused:
        DjangoIdentity().sign_out_everywhere(str(ann.pk), None)
    assert refused.value.code == "conflict"
