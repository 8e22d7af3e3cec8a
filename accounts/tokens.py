"""Access and refresh tokens. All tokens of one sign-in are a family, ended together."""

import secrets
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from rest_framework_simplejwt.exceptions import TokenError
from rest_framework_simplejwt.token_blacklist.models import BlacklistedToken, OutstandingToken
from rest_framework_simplejwt.tokens import AccessToken, RefreshToken, Token
from rest_framework_simplejwt.utils import datetime_from_epoch

from accounts.models import FAMILY_CHARS, Membership, Revocation
from accounts.scopes import narrow
from accounts.selectors import membership_of
from accounts.services import revocation_create
from realtime.core.identity import Tenant
from realtime.protocol.errors import forbidden, unauthenticated


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


@transaction.atomic
def token_refresh(refresh: str, tenant: Tenant) -> TokenPair:
    """New tokens of the same family for a refresh token, which is used up.

    Their scopes are narrowed to what the member still holds. Raises Refusal (403: not this tenant; else 401).
    """
    claims = _claims_of(RefreshToken, refresh, tenant)
    membership = membership_of(tenant.id, claims["user_id"])
    if membership is None or membership.user.password_stamp() != claims["stamp"]:
        raise unauthenticated("This token is no longer valid.")
    if Revocation.objects.filter(value__in=[claims["fam"], claims["stamp"]]).exists():
        raise unauthenticated("This token was revoked.")
    if not _use_up(claims):
        raise unauthenticated("This token was used already.")
    return _issue(membership, narrow(membership.scopes, claims["scopes"]), claims["fam"])


@transaction.atomic
def token_revoke(refresh: str, tenant: Tenant) -> None:
    """End the family of a refresh token, also of one that was used up. Raises Refusal (401, 403)."""
    claims = _claims_of(_UsedRefreshToken, refresh, tenant)
    _use_up(claims)
    revocation_create(Revocation.Kind.FAMILY, claims["fam"])


class _UsedRefreshToken(Token):
    """A refresh token that may be on the blacklist: whoever holds it may still end its family."""

    token_type = RefreshToken.token_type
    lifetime = RefreshToken.lifetime


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
    }
    OutstandingToken.objects.create(user=user, **_outstanding(refresh.payload))
    return TokenPair(
        access=str(refresh.access_token),
        refresh=str(refresh),
        expires_in=int(AccessToken.lifetime.total_seconds()),
        scopes=sorted(scopes),
    )


def _claims_of(kind: type[Token], token: str, tenant: Tenant) -> dict[str, Any]:
    try:
        claims: dict[str, Any] = kind(token).payload  # type: ignore[arg-type]  # simplejwt means str
    except (TokenError, KeyError) as error:
        raise unauthenticated("This token is not valid here.") from error
    if claims["tenant"] != tenant.slug:
        raise forbidden("tenant_denied", "This token belongs to another tenant.")
    return claims


def _use_up(claims: dict[str, Any]) -> bool:
    outstanding, _ = OutstandingToken.objects.get_or_create(
        jti=claims["jti"], defaults={"user_id": claims["user_id"], **_outstanding(claims)}
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
