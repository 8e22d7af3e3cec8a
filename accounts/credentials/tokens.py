"""Access and refresh tokens. All tokens of one sign-in form a family and are revoked together."""

import secrets
from dataclasses import dataclass, replace
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _
from rest_framework_simplejwt.token_blacklist.models import BlacklistedToken, OutstandingToken
from rest_framework_simplejwt.tokens import AccessToken, RefreshToken, Token
from rest_framework_simplejwt.utils import datetime_from_epoch

from accounts.core.scopes import narrow
from accounts.credentials.claims import token_claims, token_identity
from accounts.credentials.rates import take_credential_rate
from accounts.models import FAMILY_CHARS, Membership, User
from accounts.rights.revocation_log import first_end, revocations_of
from accounts.rights.revocations import family_end
from accounts.selectors import membership_of
from realtime import Identity, Tenant, UserId, forbidden, require_not_banned, unauthenticated


@dataclass(frozen=True, slots=True)
class TokenPair:
    """The tokens of a sign-in. `expires_in` is in seconds, of the access token. `repr()` shows no token."""

    access: str
    refresh: str
    expires_in: int
    scopes: list[str]

    def __repr__(self) -> str:
        return f"TokenPair(expires_in={self.expires_in}, scopes={self.scopes})"


def token_issue(membership: Membership, requested: list[str] | None) -> TokenPair:
    """Return the first tokens of a new family, with the requested scopes that the member holds."""
    family = secrets.token_hex(FAMILY_CHARS // 2)
    return _issue(membership, narrow(membership.scopes, requested), family)


def token_refresh(refresh: str, tenant: Tenant, address: str = "") -> TokenPair:
    """Return new tokens of the same family for a refresh token, which is used up. `address`: the client's.

    They have only the scopes that the member still holds. A second use revokes the family, because the token
    must have been copied (RFC 9700, section 4.14.2). Raises Refusal (403: another tenant's token; otherwise
    401), and RequestError(rate_limited).
    """
    claims, identity = _read(refresh, tenant)
    # Not by the user: whoever found an old token would use up what the sign-ins of its owner need.
    take_credential_rate((identity.user_id, identity.family))
    if pair := _exchange(claims, identity, tenant, address):
        return pair
    family_end(identity.family, identity.user_id)
    raise unauthenticated(
        _("This token was used already, so all tokens of the same sign-in were revoked; sign in again.")
    )


@transaction.atomic
def token_revoke(refresh: str, tenant: Tenant) -> None:
    """Revoke the family of a refresh token, even of a used one. Raises Refusal (401, 403)."""
    claims, identity = _read(refresh, tenant)
    _use_up(claims, identity.user_id)
    family_end(identity.family, identity.user_id)


class _RefreshToken(Token):
    """A refresh token that may be on the blacklist, because this module handles a second use itself."""

    token_type = RefreshToken.token_type
    lifetime = RefreshToken.lifetime


@transaction.atomic
def _exchange(claims: dict[str, Any], identity: Identity, tenant: Tenant, address: str) -> TokenPair | None:
    """Return the next tokens; None if the refresh token was used before."""
    require_not_banned(tenant.slug, user_id=identity.user_id, address=address)
    membership = membership_of(tenant.id, identity.user_id)
    if membership is None or membership.user.password_stamp() != identity.password_stamp:
        raise unauthenticated(_("This token is no longer valid."))
    # A token whose rights were only reduced stays valid, with the rights held now.
    bare = replace(identity, scopes=frozenset(), is_staff=False, is_superuser=False)
    if first_end(revocations_of([bare]), bare):
        raise unauthenticated(_("This token was revoked."))
    if not _use_up(claims, identity.user_id):
        return None
    return _issue(membership, narrow(membership.scopes, identity.scopes), identity.family)


def _issue(membership: Membership, scopes: frozenset[str], family: str) -> TokenPair:
    user = membership.user
    refresh = RefreshToken()
    refresh.payload |= {
        "user_id": user.pk,
        "username": user.username,
        "tenant": membership.tenant.slug,
        "scopes": sorted(scopes),
        "staff": membership.is_staff,
        "superuser": user.is_superuser,
        "fam": family,
        "stamp": user.password_stamp(),
        "rights": user.rights_version,
    }
    OutstandingToken.objects.create(user=user, **_outstanding(refresh.payload))
    return TokenPair(
        access=str(refresh.access_token),
        refresh=str(refresh),
        expires_in=int(AccessToken.lifetime.total_seconds()),
        scopes=sorted(scopes),
    )


def _read(refresh: str, tenant: Tenant) -> tuple[dict[str, Any], Identity]:
    claims = token_claims(_RefreshToken, refresh)
    identity = token_identity(claims)
    if identity.tenant != tenant.slug:
        raise forbidden("tenant_denied", _("This token belongs to another tenant."))
    return claims, identity


def _use_up(claims: dict[str, Any], user_id: UserId) -> bool:
    """Put a refresh token on the blacklist. Return False if it was there already."""
    outstanding, _is_new = OutstandingToken.objects.get_or_create(
        jti=claims["jti"],
        defaults={"user": User.objects.filter(pk=user_id).first(), **_outstanding(claims)},
    )
    _row, is_first = BlacklistedToken.objects.get_or_create(token=outstanding)
    return is_first


def _outstanding(claims: dict[str, Any]) -> dict[str, Any]:
    # The token itself is not stored, so that a copy of the table is useless.
    return {
        "jti": claims["jti"],
        "token": "",
        "created_at": datetime_from_epoch(claims["iat"]),
        "expires_at": datetime_from_epoch(claims["exp"]),
    }
