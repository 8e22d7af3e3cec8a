"""Fields of the control endpoints. They take JSON of the right type only: a number is not taken as a text."""

from collections.abc import Mapping
from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.exceptions import ValidationError

from realtime.core.addresses import network_of
from realtime.core.topics import TOPIC_MAX_CHARS, check_topic_name
from realtime.models import ADDRESS_MAX_CHARS, REASON_MAX_CHARS, SLUG_MAX_CHARS, USER_MAX_CHARS
from realtime.protocol.errors import RequestError


class Text(serializers.CharField):
    """A text."""

    def to_internal_value(self, data: Any) -> str:
        """Return the text as it is, without surrounding white space."""
        if not isinstance(data, str):
            self.fail("invalid")
        return super().to_internal_value(data)


class Flag(serializers.BooleanField):
    """True or false."""

    def to_internal_value(self, data: Any) -> bool:
        """Return the flag."""
        if not isinstance(data, bool):
            self.fail("invalid", input=data)
        return data


class TopicName(Text):
    """The name of a topic."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_length=TOPIC_MAX_CHARS, trim_whitespace=False, **kwargs)

    def to_internal_value(self, data: Any) -> str:
        """Return a valid name."""
        name = super().to_internal_value(data)
        try:
            return check_topic_name(name)
        except RequestError as error:
            raise ValidationError(error.message) from None


@extend_schema_field({"oneOf": [{"type": "integer"}, {"type": "string", "maxLength": USER_MAX_CHARS}]})
class UserId(serializers.Field[str, Any, str, Any]):
    """The id of a user: a whole number, or a text if the project has such keys. Its value is a text."""

    default_error_messages = {"invalid": "Expected the id of a user."}

    def to_internal_value(self, data: Any) -> str:
        """Return the id as text."""
        if isinstance(data, bool) or not isinstance(data, int | str):
            self.fail("invalid")
        text = str(data)
        if not 0 < len(text) <= USER_MAX_CHARS or not text.isprintable():
            self.fail("invalid")
        return text

    def to_representation(self, value: str) -> str:
        """Return the id."""
        return value


class Address(Text):
    """An address or a network."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_length=ADDRESS_MAX_CHARS, **kwargs)

    def to_internal_value(self, data: Any) -> str:
        """Return a valid address or network."""
        text = super().to_internal_value(data)
        if network_of(text) is None:
            raise ValidationError("Expected an address or a network, such as 203.0.113.7 or 2001:db8::/32.")
        return text


@extend_schema_field(OpenApiTypes.ANY)
class AnyJson(serializers.JSONField):
    """Any JSON value, also null."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(allow_null=True, **kwargs)


class Values(serializers.Serializer[Any]):
    """The body of a request. All wrong fields are named at once, also those that `faults` finds."""

    tenant = Text(
        required=False,
        max_length=SLUG_MAX_CHARS,
        help_text="Slug of another tenant than the host's. For superusers and operators' keys.",
    )
    reason = Text(
        required=False,
        allow_blank=True,
        max_length=REASON_MAX_CHARS,
        help_text="Kept in the audit log; some operations show it to clients.",
    )

    def faults(self, data: Mapping[str, Any]) -> dict[str, str]:
        """Return the faults of fields that depend on each other."""
        return {}

    def to_internal_value(self, data: Any) -> Any:
        """Return the checked values; raises ValidationError."""
        wrong: dict[str, Any] = {}
        values: Any = {}
        try:
            values = super().to_internal_value(data)
        except ValidationError as error:
            wrong = dict(error.detail) if isinstance(error.detail, dict) else {}
        if isinstance(data, Mapping):
            wrong = {**{name: [fault] for name, fault in self.faults(data).items()}, **wrong}
        if wrong:
            raise ValidationError(wrong)
        return values


def one_of(data: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, str]:
    """Return the faults of fields of which exactly one must be given."""
    given = [name for name in names if data.get(name) is not None and data[name] is not False]
    if len(given) == 1:
        return {}
    listed = ", ".join(names)
    return dict.fromkeys(given or names, f"Expected exactly one of: {listed}.")
