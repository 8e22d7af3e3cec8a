"""REST sign-in by access token."""

from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.request import Request

from accounts.exceptions import ApiError
from accounts.identity import Authenticator
from accounts.models import User
from realtime import Identity, Refusal, Tenant, unauthenticated

KEYWORD = "Bearer"


class TenantJWTAuthentication(BaseAuthentication):
    """`Authorization: Bearer <access token>` of the request's tenant; `request.auth` is its Identity."""

    def authenticate(self, request: Request) -> tuple[User, Identity] | None:
        """The user and what the token proves; None without a bearer token. A bad one raises ApiError."""
        words = get_authorization_header(request).split()
        if not words or words[0].lower() != KEYWORD.lower().encode():
            return None
        if len(words) != 2:  # noqa: PLR2004 the keyword and the token
            raise ApiError.of_refusal(unauthenticated("Expected: Authorization: Bearer <token>."))
        tenant: Tenant = request.tenant  # type: ignore[attr-defined]  # TenantMiddleware's
        try:
            identity = live_identity(words[1].decode("latin-1"), tenant)
        except Refusal as refusal:
            raise ApiError.of_refusal(refusal) from refusal
        # Between the check and here the user may have been deleted.
        user = User.objects.filter(pk=identity.user_id).first()
        if user is None:
            raise ApiError.of_refusal(unauthenticated("This token is no longer valid."))
        return user, identity

    def authenticate_header(self, request: Request) -> str:
        """The `WWW-Authenticate` of a 401."""
        return KEYWORD


def live_identity(token: str, tenant: Tenant) -> Identity:
    """What an access token proves, checked against the tables as well. Raises Refusal (401, 403)."""
    authenticator = Authenticator()
    identity = authenticator.verify_token(token, tenant)
    if authenticator.recheck([identity]):
        raise unauthenticated("This token is no longer valid.")
    return identity
