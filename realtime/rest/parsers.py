"""The bodies of HTTP requests: bounded, and JSON as the sockets take it."""

from collections.abc import Mapping
from typing import IO, Any

from django.http import QueryDict
from rest_framework.exceptions import APIException, ParseError
from rest_framework.parsers import FormParser, JSONParser

from realtime.protocol.codec import decode_json
from realtime.protocol.errors import RequestError

# Enough for the longest fields of any endpoint, and whitespace. Files have their own limits.
BODY_MAX_BYTES = 256 * 1024


class BodyTooLarge(APIException):
    """413: the body is too large."""

    status_code = 413
    default_detail = f"The body may have at most {BODY_MAX_BYTES} bytes."


class StrictJSONParser(JSONParser):
    """JSON of at most BODY_MAX_BYTES, in UTF-8.

    Half a surrogate pair, numbers that no double and no 64 bits hold, deep nesting and repeated keys are refused, as
    in the messages of sockets: they would fail later, in the database, the broker or a browser.
    """

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        """Return the value. Raises ParseError (400), BodyTooLarge (413)."""
        try:
            return decode_json(_body(stream).decode(), max_bytes=BODY_MAX_BYTES)
        except RequestError as error:
            raise ParseError(f"JSON parse error: {error.message}") from None
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
