"""Access and refresh tokens. All tokens of one sign-in are a family, ended together."""

import secrets
from dataclasses import dataclass, replace
from typing import Any

from django.db import transaction
from rest_framework_simplejwt.token_blacklist.models import BlacklistedToken, OutstandingToken
from rest_framework_simplejwt.tokens import AccessToken, RefreshToken, Token
from rest_framework_simplejwt.utils import datetime_from_epoch

from accounts.claims import token_claims, token_identity
from accounts.models import FAMILY_CHARS, Membership, User
from accounts.revocation_log import first_end, revocations_of
from accounts.rights import family_end
from accounts.scopes import narrow
from accounts.selectors import membership_of
from realtime import Identity, Tenant, forbidden, unauthenticated


@dataclass(frozen=True, slots=True)
class TokenPair:
    """What a sign-in gives: `expires_in` is seconds, of the access token. Its representation shows none."""

    access: str
    refresh: str
    expires_in: int
    scopes: list[str]

    def __repr__(self) -> str:
        return f"TokenPair(expires_in={self.expires_in}, scopes={self.scopes})"


def token_issue(membership: Membership, requested: list[str] | None) -> TokenPair:
    """The first tokens of a new family, with the scopes asked for as far as the member holds them."""
    family = secrets.token_hex(FAMILY_CHARS // 2)
    return _issue(membership, narrow(membership.scopes, requested), family)


def token_refresh(refresh: str, tenant: Tenant) -> TokenPair:
    """New tokens of the same family for a refresh token, which is used up.

    Their scopes are narrowed to what the member still holds. One that was used before ends its family: somebody has a
    copy, and nobody can tell who (RFC 9700, section 4.14.2). Raises Refusal (403: not this tenant; else 401).
    """
    claims, identity = _read(refresh, tenant)
    if pair := _exchange(claims, identity, tenant):
        return pair
    family_end(identity.family, identity.user_id)
    raise unauthenticated("This token was used already: it and all that came of the same sign-in have ended.")


@transaction.atomic
def token_revoke(refresh: str, tenant: Tenant) -> None:
    """End the family of a refresh token, also of one that was used up. Raises Refusal (401, 403)."""
    claims, identity = _read(refresh, tenant)
    _use_up(claims, identity.user_id)
    family_end(identity.family, identity.user_id)


class _RefreshToken(Token):
    """A refresh token that may be on the blacklist: that it was used is found out here, and says something."""

    token_type = RefreshToken.token_type
    lifetime = RefreshToken.lifetime


@transaction.atomic
def _exchange(claims: dict[str, Any], identity: Identity, tenant: Tenant) -> TokenPair | None:
    """The next tokens; None where these were used before."""
    membership = membership_of(tenant.id, identity.user_id)
    if membership is None or membership.user.password_stamp() != identity.password_stamp:
        raise unauthenticated("This token is no longer valid.")
    # What was only narrowed goes on, with what is held now.
    bare = replace(identity, scopes=frozenset(), is_staff=False, is_superuser=False)
    if first_end(revocations_of([bare]), bare):
        raise unauthenticated("This token was revoked.")
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
        raise forbidden("tenant_denied", "This token belongs to another tenant.")
    return claims, identity


def _use_up(claims: dict[str, Any], user_id: int) -> bool:
    """Put a refresh token on the blacklist; False where it was there."""
    outstanding, _ = OutstandingToken.objects.get_or_create(
        jti=claims["jti"],
        defaults={"user": User.objects.filter(pk=user_id).first(), **_outstanding(claims)},
    )
    _, is_first = BlacklistedToken.objects.get_or_create(token=outstanding)
    return is_first


def _outstanding(claims: dict[str, Any]) -> dict[str, Any]:
    # Without the token itself: a copy of the table opens nothing.
    return {
        "jti": claims["jti"],
        "token": "",
        "created_at": datetime_from_epoch(claims["iat"]),
        "expires_at": datetime_from_epoch(claims["exp"]),
    }
