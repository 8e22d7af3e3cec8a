"""Users and sessions of `django.contrib.auth`, with any user model and any session engine."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from importlib import import_module
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.contrib.auth import (
    BACKEND_SESSION_KEY,
    HASH_SESSION_KEY,
    SESSION_KEY,
    get_user_model,
    load_backend,
)
from django.core.exceptions import ValidationError
from django.utils import timezone
from django.utils.crypto import constant_time_compare

from realtime.api import recheck
from realtime.core.identity import CredentialKind, Identity, Tenant, UserId, as_user_id
from realtime.core.revocations import Revocation
from realtime.defaults.tokens import TokenAuthenticators, delete_tokens
from realtime.node.ports import LoadedSession
from realtime.protocol.close_codes import CloseCode
from realtime.protocol.errors import ErrorCode, Refusal, RequestError, unauthenticated

if TYPE_CHECKING:
    # A model: it can only be imported when the apps are ready.
    from django.contrib.auth.base_user import AbstractBaseUser

# Characters of a session key: those of the engine for signed cookies hold the whole session.
SESSION_KEY_MAX_CHARS = 4096
MEMBER_SCOPES = frozenset({"pubsub:publish"})
STAFF_SCOPES = frozenset({"metrics:read"})
SUPERUSER_SCOPES = frozenset({"control:read", "control:write"})


@dataclass(frozen=True, slots=True)
class HeldIdentity(Identity):
    """An identity with the session key or token that a recheck needs."""

    secret: str = field(default="", repr=False)


class DjangoIdentity:
    """The identity of a socket is that of a page: it comes from Django's session. Tokens: see `TokenAuthenticators`.

    To give users other scopes, derive from it, override `scopes_of`, and name the class in
    `REALTIME["IDENTITY"]`.
    """

    tokens_in_db = True

    def __init__(self) -> None:
        self._tokens = TokenAuthenticators()

    def scopes_of(self, user: "AbstractBaseUser") -> frozenset[str]:
        """Return the scopes of a user. Called in a database thread, for each recheck too: make few queries."""
        is_staff, is_superuser = _is_staff(user), _is_superuser(user)
        return (
            MEMBER_SCOPES
            | (STAFF_SCOPES if is_staff else set())
            | (SUPERUSER_SCOPES if is_superuser else set())
        )

    def revocations(self) -> Sequence[Revocation]:
        """Return none: `recheck` finds ended sessions, and `realtime.defaults.signals` reports changes at once."""
        return []

    def redeem_ticket(self, ticket: str, tenant: Tenant) -> Identity:
        """Refuse: there are no tickets."""
        raise unauthenticated("This site gives no tickets.")

    def verify_token(self, token: str, tenant: Tenant) -> Identity:
        """Return the identity of a token. Raises Refusal(401)."""
        found = self._tokens.verify(token)
        # An authenticator may make users that have no row. A recheck could not find out when they end.
        if not isinstance(found.user, get_user_model()) or not found.user.is_active:
            raise unauthenticated("This token is not valid here.")
        return self._identity(
            found.user, tenant, kind=CredentialKind.TOKEN, expires_at=found.expires_at, secret=token
        )

    def load_session(self, session_key: str, tenant: Tenant) -> LoadedSession:
        """Return a live session and the identity signed in with it. Raises Refusal(401)."""
        values = _session_values(session_key)
        if SESSION_KEY not in values:
            return LoadedSession(session_key, None)
        user = _user_of(values)
        if user is None:
            raise unauthenticated("This session is not valid any more.")
        identity = self._identity(
            user,
            tenant,
            kind=CredentialKind.SESSION,
            expires_at=_session_end(session_key),
            session_key_hash=session_key_hash(session_key),
            password_stamp=_password_stamp(user),
            secret=session_key,
        )
        return LoadedSession(session_key, identity)

    def recheck(self, identities: Iterable[Identity]) -> Mapping[Identity, CloseCode]:
        """Return the identities that are no longer valid. Two queries, and one for each token without an end."""
        held = [each for each in identities if isinstance(each, HeldIdentity)]
        users = _users({each.user_id for each in held})
        sessions = _live_sessions({each.secret for each in held if each.kind is CredentialKind.SESSION})
        return {
            each: CloseCode.UNAUTHENTICATED
            for each in held
            if not self._still_holds(each, users.get(each.user_id), sessions)
        }

    def knows_user(self, user_id: str, tenant: str | None) -> bool:
        """Return whether the user exists. Every user is on every tenant."""
        return _user_with(user_id) is not None

    def sign_out_everywhere(self, user_id: str, tenant: str | None) -> bool:
        """End the sessions of a user and the tokens that have rows, and close the sockets that used them.

        An access token of SimpleJWT is good until it ends. Return False if there is no such user. Raises
        RequestError(conflict) if the sessions have no rows. Every session of the site is read.
        """
        user = _user_with(user_id)
        if user is None:
            return False
        _delete_sessions(user)
        delete_tokens(user)
        recheck(as_user_id(user.pk))
        return True

    def sweep(self) -> bool:
        """Delete nothing: `manage.py clearsessions` does."""
        return False

    def _identity(
        self, user: "AbstractBaseUser", tenant: Tenant, *, kind: CredentialKind, **fields: Any
    ) -> HeldIdentity:
        return HeldIdentity(
            as_user_id(user.pk),
            str(user.get_username()),
            tenant.slug,
            self.scopes_of(user),
            kind,
            is_staff=_is_staff(user),
            is_superuser=_is_superuser(user),
            **fields,
        )

    def _still_holds(
        self, identity: HeldIdentity, user: "AbstractBaseUser | None", sessions: Collection[str]
    ) -> bool:
        if user is None or not user.is_active:
            return False
        has_rights = (
            identity.is_staff <= _is_staff(user)
            and identity.is_superuser <= _is_superuser(user)
            and identity.scopes <= self.scopes_of(user)
        )
        if identity.kind is CredentialKind.SESSION:
            return (
                has_rights
                and identity.secret in sessions
                and identity.password_stamp == _password_stamp(user)
            )
        return has_rights and (identity.expires_at is not None or self._is_token_live(identity.secret))

    def _is_token_live(self, token: str) -> bool:
        try:
            self._tokens.verify(token)
        except Refusal:
            return False
        return True


def session_key_hash(session_key: str) -> str:
    """Return a name of the session that does not reveal its key."""
    return sha256(session_key.encode()).hexdigest()


def _session_values(session_key: str) -> Mapping[str, Any]:
    """Return the values of a session that exists; raises Refusal(401) otherwise."""
    # Databases raise errors for some other characters.
    is_key = session_key.isascii() and session_key.isprintable() and len(session_key) <= SESSION_KEY_MAX_CHARS
    store = _store(session_key) if is_key else None
    values: Mapping[str, Any] = store.load() if store is not None else {}
    if store is None or not (values or store.exists(session_key)):
        raise unauthenticated("This session has ended.")
    return values


def _store(session_key: str) -> Any:
    return import_module(settings.SESSION_ENGINE).SessionStore(session_key)


def _user_of(values: Mapping[str, Any]) -> "AbstractBaseUser | None":
    """As `django.contrib.auth.get_user`, but it changes nothing in the session."""
    path = values.get(BACKEND_SESSION_KEY)
    if path not in settings.AUTHENTICATION_BACKENDS:
        return None
    try:
        user_id = get_user_model()._meta.pk.to_python(values[SESSION_KEY])  # noqa: SLF001 Django's public name
    except ValidationError:
        return None
    user: Any = load_backend(str(path)).get_user(user_id)
    given_hash = str(values.get(HASH_SESSION_KEY, ""))
    if user is None or not user.is_active or not _has_hash(user, given_hash):
        return None
    return user  # type: ignore[no-any-return]  # a backend may be anything


def _has_hash(user: Any, given: str) -> bool:
    """Return whether the session was made with the current password, signed by this key or by a former one."""
    hashes = [user.get_session_auth_hash(), *user.get_session_auth_fallback_hash()]
    return any(constant_time_compare(given, each) for each in hashes)


def _session_end(session_key: str) -> datetime | None:
    """Return the end of a session's row; None if page requests put it off, or if the engine has no rows."""
    model = _session_model()
    if model is None or settings.SESSION_SAVE_EVERY_REQUEST:
        return None
    end: datetime | None = (
        model.objects.filter(session_key=session_key).values_list("expire_date", flat=True).first()
    )
    return end


def _user_with(user_id: str) -> "AbstractBaseUser | None":
    """Return the user whose key is written so."""
    model = get_user_model()
    try:
        key = model._meta.pk.to_python(user_id)  # noqa: SLF001 Django's public name
    except ValidationError:
        return None
    found = model._default_manager.filter(pk=key).first()  # noqa: SLF001 Django's public name
    # "07" finds user 7 here, and is no user id anywhere else.
    return found if found is not None and str(found.pk) == user_id else None


def _delete_sessions(user: "AbstractBaseUser") -> None:
    model = _session_model()
    if model is None:
        raise RequestError(
            ErrorCode.CONFLICT, "The sessions of this site have no rows that could be looked through."
        )
    user_id = str(user.pk)
    for row in model.objects.filter(expire_date__gt=timezone.now()).iterator():
        if str(row.get_decoded().get(SESSION_KEY)) == user_id:
            # Of the engine, which may keep a copy in the cache.
            _store(row.session_key).delete()


def _session_model() -> Any:
    """Return the model of the sessions, if the engine keeps them in a database."""
    kind = import_module(settings.SESSION_ENGINE).SessionStore
    return kind.get_model_class() if hasattr(kind, "get_model_class") else None


def _live_sessions(keys: set[str]) -> Collection[str]:
    model = _session_model() if keys else None
    if model is None:
        return {key for key in keys if SESSION_KEY in _store(key).load()}
    rows = model.objects.filter(session_key__in=keys, expire_date__gt=timezone.now())
    return set(rows.values_list("session_key", flat=True))


def _users(user_ids: set[UserId]) -> "dict[UserId, AbstractBaseUser]":
    if not user_ids:
        return {}
    found = get_user_model()._default_manager.filter(pk__in=user_ids)  # noqa: SLF001 Django's public name
    return {as_user_id(user.pk): user for user in found}


def _password_stamp(user: "AbstractBaseUser") -> str:
    return sha256(user.get_session_auth_hash().encode()).hexdigest()[:32]


def _is_staff(user: "AbstractBaseUser") -> bool:
    return getattr(user, "is_staff", False) is True


def _is_superuser(user: "AbstractBaseUser") -> bool:
    return getattr(user, "is_superuser", False) is True
