"""Implements `realtime.node.ports.Authenticator` with this project's tables."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings
from django.contrib.auth import HASH_SESSION_KEY, SESSION_KEY
from django.utils import timezone
from django.utils.crypto import constant_time_compare
from django.utils.module_loading import import_string
from django.utils.translation import gettext as _
from rest_framework_simplejwt.tokens import AccessToken

from accounts.core.scopes import member_scopes
from accounts.credentials.claims import ID_MAX, token_claims, token_identity
from accounts.credentials.sessions import TENANT_KEY, SessionStore, session_key_hash
from accounts.credentials.tickets import ticket_redeem
from accounts.credentials.verified import VerifiedTokens
from accounts.models import Membership, User, UserSession
from accounts.rights.revocation_log import RevocationLog, first_end, revocations_of
from accounts.rights.revocations import sign_out_everywhere
from accounts.selectors import membership_of
from realtime import (
    CloseCode,
    CredentialKind,
    Identity,
    LoadedSession,
    Tenant,
    UserId,
    forbidden,
    unauthenticated,
)
from realtime import Revocation as RevocationValue


class Authenticator:
    """Checks access tokens, tickets and sessions, and reads revocations."""

    def __init__(self) -> None:
        self._verified = VerifiedTokens()
        self._log = RevocationLog()

    def revocations(self) -> list[RevocationValue]:
        """Return the revocations since the last call; at the first call, all that are in force. One query."""
        return self._log.read()

    def sweep(self) -> bool:
        """Delete some of the expired rows. Return whether some may be left."""
        self._log.rewind()
        # Every sweep runs, whatever the earlier ones return.
        results: list[bool] = [import_string(each)() for each in settings.SWEEPS]
        return any(results)

    def knows_user(self, user_id: str, tenant: str | None) -> bool:
        """Return whether the user exists and, if a tenant is given, is a member of it. One query."""
        if not _is_id(user_id):
            return False
        if tenant is None:
            return User.objects.filter(pk=int(user_id)).exists()
        return Membership.objects.filter(user_id=int(user_id), tenant__slug=tenant).exists()

    def search_users(self, text: str, tenant: str | None, limit: int) -> list[dict[str, Any]]:
        """Return id and name of the first `limit` users with `text` in their name, of a tenant if one is given."""
        rows = User.objects.filter(username__icontains=text)
        if tenant is not None:
            rows = rows.filter(pk__in=Membership.objects.filter(tenant__slug=tenant).values("user"))
        return [dict(row) for row in rows.order_by("username").values("id", "username")[:limit]]

    def sign_out_everywhere(self, user_id: str, tenant: str | None) -> bool:
        """End all tokens, tickets and sessions of a user, on one tenant or on all (None).

        False if there is no such user or member.
        """
        return _is_id(user_id) and sign_out_everywhere(int(user_id), tenant)

    def verify_token(self, token: str, tenant: Tenant) -> Identity:
        """Return the identity of an access token, without a query. Raises Refusal (401; 403: wrong tenant).

        Revocations are checked elsewhere, at every use: in memory, or in the database (`recheck`).
        """
        identity = self._verified.find(token)
        if identity is None:
            identity = token_identity(token_claims(AccessToken, token))
            self._verified.add(token, identity)
        if identity.tenant != tenant.slug:
            raise forbidden("tenant_denied", _("This token belongs to another tenant."))
        return identity

    def redeem_ticket(self, ticket: str, tenant: Tenant) -> Identity:
        """Use up a ticket of `tenant`.

        Raises Refusal (401; 403: of another tenant, whose ticket stays valid).
        """
        identity = ticket_redeem(ticket, tenant)
        if self.recheck([identity]):
            raise unauthenticated(_("This ticket is no longer valid."))
        return identity

    def load_session(self, session_key: str, tenant: Tenant) -> LoadedSession:
        """Return a live session of `tenant` and the identity signed in with it. Raises Refusal (401)."""
        # Session keys are letters and digits. PostgreSQL raises errors for some other characters.
        is_key = session_key.isascii() and session_key.isalnum()
        values = SessionStore(session_key).load() if is_key else {}
        if values.get(TENANT_KEY) != tenant.id:
            raise unauthenticated(_("This session is not valid here."))
        if SESSION_KEY not in values:
            return LoadedSession(session_key, None)
        membership = membership_of(tenant.id, int(values[SESSION_KEY]))
        given_hash = str(values.get(HASH_SESSION_KEY, ""))
        if membership is None or not constant_time_compare(
            given_hash, membership.user.get_session_auth_hash()
        ):
            raise unauthenticated(_("This session is not valid here."))
        row = UserSession.objects.only("expire_date").filter(session_key=session_key).first()
        if row is None:
            raise unauthenticated(_("This session has ended."))
        return LoadedSession(session_key, identity_of_session(membership, session_key, row.expire_date))

    def recheck(self, identities: Iterable[Identity]) -> dict[Identity, CloseCode]:
        """Return the identities that are no longer valid, each with a close code.

        At most four queries in all.
        """
        checked = list(identities)
        if not checked:
            return {}
        user_ids = {identity.user_id for identity in checked}
        standings = _live_memberships(user_ids)
        # Read after the standings: a user who is deactivated in between must not look like a member who left.
        lost_ids = {each.user_id for each in checked if (each.tenant, each.user_id) not in standings}
        active_ids = _active_ids(lost_ids)
        revoked = revocations_of(checked)
        sessions = _live_sessions({identity.session_key_hash for identity in checked} - {""})
        gone: dict[Identity, CloseCode] = {}
        for identity in checked:
            standing = standings.get((identity.tenant, identity.user_id))
            if standing is None and identity.user_id in active_ids:
                gone[identity] = CloseCode.FORBIDDEN
            elif code := first_end(revoked, identity):
                gone[identity] = code
            elif not _still_holds(identity, standing) or (
                identity.session_key_hash and identity.session_key_hash not in sessions
            ):
                gone[identity] = CloseCode.UNAUTHENTICATED
        return gone


@dataclass(frozen=True, slots=True)
class _Standing:
    """The current rights of a member."""

    scopes: frozenset[str]
    is_staff: bool
    is_superuser: bool
    password_stamp: str


def identity_of_session(membership: Membership, session_key: str, expires_at: datetime) -> Identity:
    """Return the identity of a session of `membership`."""
    user = membership.user
    return Identity(
        user_id=user.pk,
        username=user.username,
        tenant=membership.tenant.slug,
        scopes=membership.scopes,
        kind=CredentialKind.SESSION,
        is_staff=membership.is_staff,
        is_superuser=user.is_superuser,
        expires_at=expires_at,
        session_key_hash=session_key_hash(session_key),
        password_stamp=user.password_stamp(),
        rights=user.rights_version,
    )


def _is_id(text: str) -> bool:
    # In its canonical form only: "07" is not an id here, and not among the connections either.
    return text.isascii() and text.isdigit() and str(int(text)) == text and int(text) <= ID_MAX


def _live_memberships(user_ids: set[UserId]) -> dict[tuple[str, UserId], _Standing]:
    # Plain values instead of model objects, because this runs often, for hundreds of users at a time. Also those of
    # suspended tenants: their sockets close with 4404 because no host is served, and after the suspension the same
    # tokens are good again.
    rows = (
        Membership.objects.filter(user_id__in=user_ids, is_active=True, user__is_active=True)
        .order_by()
        .values_list(
            "user_id", "tenant__slug", "role", "extra_scopes", "user__is_superuser", "user__password"
        )
    )
    user = User()
    stamps: dict[int, str] = {}
    standings: dict[tuple[str, UserId], _Standing] = {}
    for user_id, slug, role, extra_scopes, is_superuser, password in rows:
        if user_id not in stamps:
            user.pk, user.password = user_id, password
            stamps[user_id] = user.password_stamp()
        is_staff = is_superuser or role == Membership.Role.STAFF
        scopes = member_scopes(extra_scopes, is_staff=is_staff)
        standings[slug, user_id] = _Standing(scopes, is_staff, is_superuser, stamps[user_id])
    return standings


def _active_ids(user_ids: set[UserId]) -> set[UserId]:
    if not user_ids:
        return set()
    return set(User.objects.filter(id__in=user_ids, is_active=True).values_list("id", flat=True))


def _live_sessions(hashes: set[str]) -> set[str]:
    if not hashes:
        return set()
    live = UserSession.objects.filter(key_hash__in=hashes, expire_date__gt=timezone.now())
    return set(live.values_list("key_hash", flat=True))


def _still_holds(identity: Identity, standing: _Standing | None) -> bool:
    return (
        standing is not None
        and identity.scopes <= standing.scopes
        and identity.is_staff <= standing.is_staff
        and identity.is_superuser <= standing.is_superuser
        and identity.password_stamp in {"", standing.password_stamp}
    )
