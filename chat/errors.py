"""The errors that several parts of the chat raise: each answers a request."""

from django.utils.translation import gettext as _

from realtime import ErrorCode, RequestError, retry_after_ms


def no_such_room() -> RequestError:
    """Return the one error for a missing room, a room of another tenant and a private room."""
    return RequestError(ErrorCode.NOT_FOUND, _("There is no such room."))


def no_such_message(field: str = "payload.seq") -> RequestError:
    """Return the error for a number that no message of the room has."""
    return field_error(field, _("There is no such message."), ErrorCode.NOT_FOUND)


def not_joined() -> RequestError:
    """Return the error for a public room that the user is not in."""
    return denied(_("Join this room first."))


def denied(message: str) -> RequestError:
    """Return the error for something that the user may not do."""
    return RequestError(ErrorCode.PERMISSION_DENIED, message)


def field_error(field: str, message: str, code: ErrorCode = ErrorCode.INVALID_MESSAGE) -> RequestError:
    """Return the error for the value of a field, `payload.name` for example."""
    return RequestError(code, message, details={"field": field})


def too_fast(message: str, wait_s: float) -> RequestError:
    """Return the error for something that the user may do again in `wait_s` seconds."""
    return RequestError(ErrorCode.RATE_LIMITED, message, retry_after_ms=retry_after_ms(wait_s))


def require_at_most(most: int, count: int, message: str) -> None:
    """Raise RequestError(limit_exceeded) if `count` is above `most` (0: no limit); `message` may name {most}."""
    if most and count > most:
        raise RequestError(ErrorCode.LIMIT_EXCEEDED, message.format(most=most))
