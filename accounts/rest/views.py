"""The REST endpoints of tokens and tickets."""

from contextlib import suppress
from dataclasses import replace
from typing import Any

from django.contrib.auth import authenticate
from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema
from rest_framework.generics import GenericAPIView
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.core.scopes import narrow
from accounts.credentials.identity import Authenticator
from accounts.credentials.rates import look_at_credential_rate
from accounts.credentials.tickets import TICKET_LIFETIME_S, ticket_issue, ticket_owner
from accounts.credentials.tokens import TokenPair, token_issue, token_refresh, token_revoke
from accounts.models import Membership, User
from accounts.passwords.throttling import counted
from accounts.rest import serializers
from accounts.rest.authentication import live_identity, token_of
from accounts.selectors import membership_of
from realtime import Identity, Refusal, Tenant, require_not_banned, unauthenticated


def _error_responses(*statuses: int) -> dict[int, type[serializers.ErrorSerializer]]:
    return dict.fromkeys(statuses, serializers.ErrorSerializer)


class TenantAPIView(GenericAPIView[Any]):
    """An endpoint of the request's tenant. Its answers are not cached, unless they say so."""

    @property
    def tenant(self) -> Tenant:
        """The tenant of the request's host."""
        tenant: Tenant = self.request.tenant  # type: ignore[attr-defined]  # TenantMiddleware's
        return tenant

    def validated(self) -> dict[str, Any]:
        """Return the checked body; raises ValidationError."""
        serializer = self.get_serializer(data=self.request.data)
        serializer.is_valid(raise_exception=True)
        values: dict[str, Any] = serializer.validated_data
        return values

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        """Forbid caching, because answers contain secrets."""
        response.headers.setdefault("Cache-Control", "no-store")
        return super().finalize_response(request, response, *args, **kwargs)


class CredentialAPIView(TenantAPIView):
    """An endpoint with the credential in the body."""

    authentication_classes = ()
    permission_classes = (AllowAny,)


class TokenView(CredentialAPIView):
    """Sign in with a user name and a password."""

    serializer_class = serializers.TokenRequestSerializer

    @extend_schema(
        operation_id="token_create",
        auth=[],
        responses={200: serializers.TokenPairSerializer, **_error_responses(400, 401, 413, 429, 503)},
    )
    def post(self, request: Request) -> Response:
        """Return an access token and a refresh token for a user name and a password."""
        values = self.validated()
        with counted(request, values["username"]) as attempt:
            membership = self._member(request, values["username"], values["password"])
            if membership is None:
                attempt.failed()
                raise unauthenticated(_("The user name or the password is wrong."))
        return _pair_response(token_issue(membership, values.get("scopes")))

    def _member(self, request: Request, username: str, password: str) -> Membership | None:
        user = authenticate(request, username=username, password=password)
        if not isinstance(user, User):
            return None
        membership = membership_of(self.tenant.id, user.pk)
        # The membership was read after the slow password check. The password may have changed meanwhile.
        is_same = membership is not None and membership.user.password == user.password
        return membership if is_same else None


class TokenRefreshView(CredentialAPIView):
    """Exchange a refresh token for new tokens."""

    serializer_class = serializers.RefreshTokenSerializer

    @extend_schema(
        operation_id="token_refresh",
        auth=[],
        responses={200: serializers.TokenPairSerializer, **_error_responses(400, 401, 403, 429)},
    )
    def post(self, request: Request) -> Response:
        """Return new tokens for a refresh token, which cannot be used again."""
        address = request.META.get("REMOTE_ADDR", "")
        return _pair_response(token_refresh(self.validated()["refresh"], self.tenant, address))


class TokenVerifyView(CredentialAPIView):
    """Check an access token."""

    serializer_class = serializers.AccessTokenSerializer

    @extend_schema(
        operation_id="token_verify",
        auth=[],
        responses={200: serializers.EmptySerializer, **_error_responses(400, 401)},
    )
    def post(self, request: Request) -> Response:
        """Answer 200 if the access token is valid on this tenant now, otherwise 401."""
        try:
            live_identity(self.validated()["token"], self.tenant)
        except Refusal as refusal:
            raise unauthenticated(refusal.message) from refusal
        return Response({})


class TokenRevokeView(CredentialAPIView):
    """Revoke a family of tokens."""

    serializer_class = serializers.RefreshTokenSerializer

    @extend_schema(
        operation_id="token_revoke",
        auth=[],
        responses={200: serializers.EmptySerializer, **_error_responses(400, 401, 403, 429)},
    )
    def post(self, request: Request) -> Response:
        """Revoke the refresh token and all tokens of its family, and close the sockets that they opened."""
        token_revoke(self.validated()["refresh"], self.tenant)
        return Response({})


class TicketView(TenantAPIView):
    """Issue a ticket to a signed-in user."""

    serializer_class = serializers.TicketRequestSerializer

    @extend_schema(
        operation_id="ws_ticket_create",
        responses={200: serializers.TicketSerializer, **_error_responses(400, 401, 403, 429)},
    )
    def post(self, request: Request) -> Response:
        """Return a ticket that opens one socket: `?ticket=…`, once, within 30 seconds."""
        identity = self._identity(request)
        scopes = narrow(identity.scopes, self.validated().get("scopes"))
        address = request.META.get("REMOTE_ADDR", "")
        require_not_banned(self.tenant.slug, user_id=identity.user_id, address=address)
        secret = ticket_issue(replace(identity, scopes=scopes), self.tenant)
        return Response({"ticket": secret, "expires_in": TICKET_LIFETIME_S})

    def perform_authentication(self, request: Request) -> None:
        """Refuse who is too fast before the database is asked about the token. Only it knows whose a session is."""
        token = token_of(request)
        if token is not None:
            # The authentication itself says what is wrong with a token.
            with suppress(Refusal):
                look_at_credential_rate(ticket_owner(Authenticator().verify_token(token, self.tenant)))
        super().perform_authentication(request)

    def _identity(self, request: Request) -> Identity:
        if isinstance(request.auth, Identity):
            return request.auth
        loaded = Authenticator().load_session(str(request.session.session_key), self.tenant)
        if loaded.identity is None:
            raise unauthenticated()
        return loaded.identity


def _pair_response(pair: TokenPair) -> Response:
    return Response(serializers.TokenPairSerializer(pair).data)
