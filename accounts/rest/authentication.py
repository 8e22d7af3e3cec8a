"""REST authentication by access token."""

from django.utils.translation import gettext as _
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import APIException
from rest_framework.request import Request

from accounts.credentials.identity import Authenticator
from accounts.models import User
from realtime import Identity, Refusal, Tenant, unauthenticated

KEYWORD = "Bearer"


class RefusedCredentialError(APIException):
    """A refusal as REST framework needs it in an authentication. Its code is that of the answer."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(detail=refusal.message, code=refusal.code)
        self.status_code = refusal.status
        self.code = refusal.code


class TenantJWTAuthentication(BaseAuthentication):
    """`Authorization: Bearer <access token>` of the request's tenant; `request.auth` is its Identity."""

    def authenticate(self, request: Request) -> tuple[User, Identity] | None:
        """Return the user and the token's identity; None without a token. Raises RefusedCredentialError for a bad one."""
        token = token_of(request)
        if token is None:
            return None
        tenant: Tenant = request.tenant  # type: ignore[attr-defined]  # TenantMiddleware's
        try:
            identity = live_identity(token, tenant)
        except Refusal as refusal:
            raise RefusedCredentialError(refusal) from refusal
        # The user may have been deleted since the check.
        user = User.objects.filter(pk=identity.user_id).first()
        if user is None:
            raise RefusedCredentialError(unauthenticated(_("This token is no longer valid.")))
        return user, identity

    def authenticate_header(self, request: Request) -> str:
        """Return the `WWW-Authenticate` header of a 401."""
        return KEYWORD


def token_of(request: Request) -> str | None:
    """Return the token of the `Authorization` header; None without one. Raises RefusedCredentialError."""
    words = get_authorization_header(request).split()
    if not words or words[0].lower() != KEYWORD.lower().encode():
        return None
    if len(words) != 2:  # noqa: PLR2004 the keyword and the token
        raise RefusedCredentialError(unauthenticated(_("Expected: Authorization: Bearer <token>.")))
    return words[1].decode("latin-1")


def live_identity(token: str, tenant: Tenant) -> Identity:
    """Return the identity of an access token, checked in the database too. Raises Refusal (401, 403)."""
    authenticator = Authenticator()
    identity = authenticator.verify_token(token, tenant)
    if authenticator.recheck([identity]):
        raise unauthenticated(_("This token is no longer valid."))
    return identity
