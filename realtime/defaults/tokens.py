"""Bearer tokens, checked by the authenticators of REST framework and by SimpleJWT, if these are installed."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from django.apps import apps
from django.http import HttpRequest
from django.utils import timezone

from realtime.protocol.errors import unauthenticated

if TYPE_CHECKING:
    # A model: it can only be imported when the apps are ready.
    from django.contrib.auth.base_user import AbstractBaseUser

# Schemes whose credentials are no tokens.
NO_TOKENS = frozenset({"basic", "digest"})


@dataclass(frozen=True, slots=True)
class TokenUser:
    """The user of a valid token, and the end of the token (None: it has none that is known)."""

    user: "AbstractBaseUser"
    expires_at: datetime | None


class TokenAuthenticators:
    """The authenticators in REST framework's DEFAULT_AUTHENTICATION_CLASSES that take tokens, and SimpleJWT's
    if installed."""

    def verify(self, token: str) -> TokenUser:
        """Ask each class in its order; raises Refusal(401) if none takes the token. Reads the database."""
        # A header cannot hold other characters, and the classes expect a header.
        if not (token.isascii() and token.isprintable()):
            raise unauthenticated("This token is not valid here.")
        for scheme, authenticator in self._all:
            found = _ask(authenticator, f"{scheme} {token}")
            if found is not None:
                user, auth = found
                return TokenUser(user, _end_of(auth))
        raise unauthenticated("This token is not valid here.")

    @cached_property
    def _all(self) -> list[tuple[str, Any]]:
        return list(_authenticators())


def delete_tokens(user: "AbstractBaseUser") -> None:
    """Delete the user's token of REST framework, and blacklist the refresh tokens of SimpleJWT, if these have tables."""
    if apps.is_installed("rest_framework.authtoken"):
        from rest_framework.authtoken.models import Token  # noqa: PLC0415 a table only where its app is installed

        Token.objects.filter(user=user).delete()
    if apps.is_installed("rest_framework_simplejwt.token_blacklist"):
        tokens: Any = apps.get_model("token_blacklist.OutstandingToken")
        live = tokens.objects.filter(
            user_id=user.pk, expires_at__gt=timezone.now(), blacklistedtoken__isnull=True
        )
        blacklist: Any = apps.get_model("token_blacklist.BlacklistedToken")
        blacklist.objects.bulk_create([blacklist(token=each) for each in live], ignore_conflicts=True)


def _authenticators() -> Iterator[tuple[str, Any]]:
    """Return an object of each class that takes tokens, with the scheme of its header."""
    for kind in _classes():
        authenticator = kind()
        challenge = authenticator.authenticate_header(_request("")) or ""
        scheme = challenge.partition(" ")[0]
        if scheme and scheme.lower() not in NO_TOKENS:
            yield scheme, authenticator


def _classes() -> list[Any]:
    try:
        from rest_framework.settings import api_settings  # noqa: PLC0415 not everybody has it
    except ImportError:
        return []
    classes: list[Any] = list(api_settings.DEFAULT_AUTHENTICATION_CLASSES)
    try:
        from rest_framework_simplejwt.authentication import JWTAuthentication  # noqa: PLC0415 nor that
    except ImportError:
        return classes
    return (
        classes
        if any(issubclass(each, JWTAuthentication) for each in classes)
        else [*classes, JWTAuthentication]
    )


def _ask(authenticator: Any, authorization: str) -> tuple[Any, Any] | None:
    from rest_framework.exceptions import APIException  # noqa: PLC0415 as above

    try:
        found: tuple[Any, Any] | None = authenticator.authenticate(_request(authorization))
    except APIException:
        # Not a token of this class.
        return None
    return found


def _request(authorization: str) -> Any:
    from rest_framework.request import Request  # noqa: PLC0415 as above

    request = HttpRequest()
    request.META["HTTP_AUTHORIZATION"] = authorization
    return Request(request)


def _end_of(auth: Any) -> datetime | None:
    """Return the end of a JSON Web Token, or of a row that names one."""
    expires_s = auth.get("exp") if hasattr(auth, "get") else None
    if isinstance(expires_s, int | float):
        return datetime.fromtimestamp(expires_s, UTC)
    expiry = getattr(auth, "expiry", None)
    return expiry if isinstance(expiry, datetime) else None
