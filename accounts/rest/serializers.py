"""Requests and answers of the token endpoints."""

from django.utils.translation import gettext_lazy
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from accounts.credentials.tickets import TICKET_LIFETIME_S

MAX_TOKEN_CHARS = 8192
MAX_PASSWORD_CHARS = 4096
MAX_SCOPES = 100


@extend_schema_field({"oneOf": [{"type": "array", "items": {"type": "string"}}, {"type": "string"}]})
class ScopesField(serializers.Field[list[str], object, str, object]):
    """A list of scopes, or one string with spaces between them."""

    default_error_messages = {
        "invalid": gettext_lazy("Expected a list of scopes, or a string with spaces between them.")
    }

    def to_internal_value(self, data: object) -> list[str]:
        """Return the scopes as a list."""
        scopes = data.split() if isinstance(data, str) else data
        if not isinstance(scopes, list) or len(scopes) > MAX_SCOPES:
            self.fail("invalid")
        if not all(isinstance(scope, str) for scope in scopes):
            self.fail("invalid")
        return scopes

    def to_representation(self, value: object) -> str:
        """Return the scopes as one string, for the form of the browsable API."""
        return " ".join(map(str, value)) if isinstance(value, list) else ""


class _PlainSerializer(serializers.Serializer[object]):
    """A serializer of values that are not model rows."""


class TokenRequestSerializer(_PlainSerializer):
    """User name, password, and optionally the scopes to request."""

    username = serializers.CharField(max_length=150)
    password = serializers.CharField(
        max_length=MAX_PASSWORD_CHARS, trim_whitespace=False, style={"input_type": "password"}
    )
    scopes = ScopesField(required=False, help_text="Narrows the token to these; it never widens it.")


class TokenPairSerializer(_PlainSerializer):
    """An access token, and a refresh token for the next one."""

    access = serializers.CharField()
    refresh = serializers.CharField()
    expires_in = serializers.IntegerField(help_text="Seconds until the access token ends.")
    scopes = serializers.ListField(child=serializers.CharField())


class RefreshTokenSerializer(_PlainSerializer):
    """A refresh token."""

    refresh = serializers.CharField(max_length=MAX_TOKEN_CHARS)


class AccessTokenSerializer(_PlainSerializer):
    """An access token."""

    token = serializers.CharField(max_length=MAX_TOKEN_CHARS)


class TicketRequestSerializer(_PlainSerializer):
    """Optionally the scopes for the socket."""

    scopes = ScopesField(required=False, help_text="Narrows the ticket to these; it never widens it.")


class TicketSerializer(_PlainSerializer):
    """A ticket that opens one socket: `?ticket=…`."""

    ticket = serializers.CharField()
    expires_in = serializers.IntegerField(help_text=f"Seconds until it ends: {TICKET_LIFETIME_S}.")


class EmptySerializer(_PlainSerializer):
    """An empty answer: the request succeeded."""


class ErrorBodySerializer(_PlainSerializer):
    """The code and message of an error."""

    code = serializers.CharField()
    message = serializers.CharField()
    details = serializers.DictField(required=False)


class ErrorSerializer(_PlainSerializer):
    """The form of every error."""

    error = ErrorBodySerializer()
