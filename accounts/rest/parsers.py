"""Parsers for API bodies: limited in size, UTF-8 only. Any bad body is answered with 400 or 413."""

import json
from collections.abc import Mapping
from typing import IO, Any

from django.http import QueryDict
from rest_framework.exceptions import APIException, ParseError
from rest_framework.parsers import FormParser, JSONParser
from rest_framework.utils import json as strict_json

# Enough for the longest fields of any endpoint, and whitespace. Files have their own limits.
BODY_MAX_BYTES = 256 * 1024


class BodyTooLarge(APIException):
    """413: the body is too large."""

    status_code = 413
    default_detail = f"The body may have at most {BODY_MAX_BYTES} bytes."


class BoundedJSONParser(JSONParser):
    """JSON of at most BODY_MAX_BYTES. JSON that is nested too deep for Python is a bad request."""

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        """Return the value. Raises ParseError (400), BodyTooLarge (413)."""
        try:
            return json.loads(_body(stream).decode(), parse_constant=strict_json.strict_constant)
        except RecursionError:
            raise ParseError("JSON parse error: nested too deep.") from None
        except ValueError as error:
            raise ParseError(f"JSON parse error: {error}") from error


class BoundedFormParser(FormParser):
    """A form of at most BODY_MAX_BYTES."""

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        """Return the fields. Raises BodyTooLarge (413), TooManyFieldsSent (400)."""
        return QueryDict(_body(stream), encoding="utf-8")


def _body(stream: IO[Any]) -> bytes:
    body: bytes = stream.read(BODY_MAX_BYTES + 1)
    if len(body) > BODY_MAX_BYTES:
        raise BodyTooLarge
    return body
