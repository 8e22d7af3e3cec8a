"""Checks of a signed token's claims.

If the key leaks, forged claims must still not cause errors elsewhere.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from django.utils.translation import gettext as _
from rest_framework_simplejwt.exceptions import TokenError
from rest_framework_simplejwt.tokens import Token

from realtime import CredentialKind, Identity, unauthenticated

# The largest id that both databases accept in a query.
ID_MAX = 2**63 - 1
# A time before the year 10000, so that calculations with it do not overflow.
TIME_MAX_S = 253_370_764_800
TEXT_MAX_CHARS = 255

# Errors of the libraries for malformed tokens: deep JSON, times out of range, claims of another type.
ODD = (TokenError, KeyError, TypeError, ValueError, OverflowError, OSError, RecursionError)


def token_claims(kind: type[Token], token: str) -> dict[str, Any]:
    """Return the claims of a token of `kind` with a valid signature and valid times. Raises Refusal(401)."""
    try:
        claims: dict[str, Any] = kind(token).payload  # type: ignore[arg-type]  # simplejwt means str
        text_of(claims, "jti")
    except ODD as error:
        raise unauthenticated(_("This token is not valid here.")) from error
    return claims


def token_identity(claims: Mapping[str, Any]) -> Identity:
    """Return the identity in these claims.

    Raises Refusal(401) if one is missing, malformed or out of range.
    """
    try:
        return _identity(claims)
    except ODD as error:
        raise unauthenticated(_("This token is not valid here.")) from error


def text_of(claims: Mapping[str, Any], name: str, default: str | None = None) -> str:
    """Return a claim that is a text of at most 255 characters. Raises TypeError, ValueError, KeyError."""
    value = claims[name] if default is None else claims.get(name, default)
    if not isinstance(value, str):
        raise TypeError(f"Expected a text for {name}.")
    if len(value) > TEXT_MAX_CHARS or "\0" in value:
        raise ValueError(f"Expected a shorter text for {name}.")
    return value


def _identity(claims: Mapping[str, Any]) -> Identity:
    scopes = claims["scopes"]
    if not isinstance(scopes, list) or not all(isinstance(scope, str) for scope in scopes):
        raise TypeError("Expected a list of scopes.")
    return Identity(
        user_id=_whole(claims["user_id"], 1),
        username=text_of(claims, "username", ""),
        tenant=text_of(claims, "tenant"),
        scopes=_shared_scopes(*scopes),
        kind=CredentialKind.TOKEN,
        is_staff=claims.get("staff") is True,
        is_superuser=claims.get("superuser") is True,
        issued_at=_time(claims["iat"]) if "iat" in claims else None,
        expires_at=_time(claims["exp"]),
        family=text_of(claims, "fam", ""),
        password_stamp=text_of(claims, "stamp", ""),
        rights=_whole(claims.get("rights", 0), 0),
    )


def _whole(value: object, least: int) -> int:
    # bool is a subclass of int.
    if type(value) is not int:
        raise TypeError("Expected a whole number.")
    if not least <= value <= ID_MAX:
        raise ValueError("Expected a number of 64 bits.")
    return value


def _time(seconds: object) -> datetime:
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        raise TypeError("Expected a number of seconds.")
    if not 0 <= seconds <= TIME_MAX_S:
        raise ValueError("Expected a time before the year 9999.")
    return datetime.fromtimestamp(seconds, UTC)


@lru_cache(maxsize=1024)
def _shared_scopes(*scopes: str) -> frozenset[str]:
    """Return one shared set for all connections with the same scopes, to save memory."""
    return frozenset(scopes)
