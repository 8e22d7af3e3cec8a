"""The REST endpoints of tokens and tickets."""

from dataclasses import replace
from typing import Any

from django.contrib.auth import authenticate
from drf_spectacular.utils import extend_schema
from rest_framework.generics import GenericAPIView
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import serializers
from accounts.authentication import live_identity
from accounts.identity import Authenticator
from accounts.models import Membership, User
from accounts.scopes import narrow
from accounts.selectors import membership_of
from accounts.throttling import counted
from accounts.tickets import TICKET_LIFETIME_S, ticket_issue
from accounts.tokens import TokenPair, token_issue, token_refresh, token_revoke
from realtime import Identity, Refusal, Tenant, unauthenticated


def _error_responses(*statuses: int) -> dict[int, type[serializers.ErrorSerializer]]:
    return dict.fromkeys(statuses, serializers.ErrorSerializer)


class TenantAPIView(GenericAPIView[Any]):
    """An endpoint of the request's tenant. What it answers is kept by nobody."""

    @property
    def tenant(self) -> Tenant:
        """The tenant of the host."""
        tenant: Tenant = self.request.tenant  # type: ignore[attr-defined]  # TenantMiddleware's
        return tenant

    def validated(self) -> dict[str, Any]:
        """The body; raises ValidationError."""
        serializer = self.get_serializer(data=self.request.data)
        serializer.is_valid(raise_exception=True)
        values: dict[str, Any] = serializer.validated_data
        return values

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        """Secrets stay out of every cache."""
        response["Cache-Control"] = "no-store"
        return super().finalize_response(request, response, *args, **kwargs)


class CredentialAPIView(TenantAPIView):
    """An endpoint whose body carries the credential."""

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
        """Give an access token and a refresh token for a user name and a password."""
        values = self.validated()
        with counted(request, values["username"]) as attempt:
            membership = self._member(request, values["username"], values["password"])
            if membership is None:
                attempt.failed()
                raise unauthenticated("The user name or the password is wrong.")
        return _pair_response(token_issue(membership, values.get("scopes")))

    def _member(self, request: Request, username: str, password: str) -> Membership | None:
        user = authenticate(request, username=username, password=password)
        if not isinstance(user, User):
            return None
        membership = membership_of(self.tenant.id, user.pk)
        # Read after the password was judged, which takes a while: it may be another one by now.
        is_same = membership is not None and membership.user.password == user.password
        return membership if is_same else None


class TokenRefreshView(CredentialAPIView):
    """The next tokens, for a refresh token."""

    serializer_class = serializers.RefreshTokenSerializer

    @extend_schema(
        operation_id="token_refresh",
        auth=[],
        responses={200: serializers.TokenPairSerializer, **_error_responses(400, 401, 403)},
    )
    def post(self, request: Request) -> Response:
        """Give the next tokens for a refresh token, which is used up by that."""
        return _pair_response(token_refresh(self.validated()["refresh"], self.tenant))


class TokenVerifyView(CredentialAPIView):
    """Whether an access token is good."""

    serializer_class = serializers.AccessTokenSerializer

    @extend_schema(
        operation_id="token_verify",
        auth=[],
        responses={200: serializers.EmptySerializer, **_error_responses(400, 401)},
    )
    def post(self, request: Request) -> Response:
        """Answer 200 when the access token is good here and now, else 401."""
        try:
            live_identity(self.validated()["token"], self.tenant)
        except Refusal as refusal:
            raise unauthenticated(refusal.message) from refusal
        return Response({})


class TokenRevokeView(CredentialAPIView):
    """The end of a family of tokens."""

    serializer_class = serializers.RefreshTokenSerializer

    @extend_schema(
        operation_id="token_revoke",
        auth=[],
        responses={200: serializers.EmptySerializer, **_error_responses(400, 401, 403)},
    )
    def post(self, request: Request) -> Response:
        """End the refresh token and every token of its family, and the sockets they opened."""
        token_revoke(self.validated()["refresh"], self.tenant)
        return Response({})


class TicketView(TenantAPIView):
    """A ticket for whoever is signed in."""

    serializer_class = serializers.TicketRequestSerializer

    @extend_schema(
        operation_id="ws_ticket_create",
        responses={200: serializers.TicketSerializer, **_error_responses(400, 401, 403)},
    )
    def post(self, request: Request) -> Response:
        """Give a ticket that opens one socket: `?ticket=…`, once, within 30 seconds."""
        identity = self._identity(request)
        scopes = narrow(identity.scopes, self.validated().get("scopes"))
        secret = ticket_issue(replace(identity, scopes=scopes), self.tenant)
        return Response({"ticket": secret, "expires_in": TICKET_LIFETIME_S})

    def _identity(self, request: Request) -> Identity:
        if isinstance(request.auth, Identity):
            return request.auth
        loaded = Authenticator().load_session(str(request.session.session_key), self.tenant)
        if loaded.identity is None:
            raise unauthenticated()
        return loaded.identity


def _pair_response(pair: TokenPair) -> Response:
    return Response(serializers.TokenPairSerializer(pair).data)
