"""The error tree. Request errors answer a request and keep the socket; a refusal ends it before it began."""

from enum import StrEnum
from typing import Any

from realtime.protocol.close_codes import CloseCode


class ErrorCode(StrEnum):
    """The `code` of an error reply."""

    INVALID_JSON = "invalid_json"
    INVALID_MESSAGE = "invalid_message"
    UNKNOWN_TYPE = "unknown_type"
    MESSAGE_TOO_LARGE = "message_too_large"
    UNAUTHENTICATED = "unauthenticated"
    PERMISSION_DENIED = "permission_denied"
    NOT_FOUND = "not_found"
    CONFLICT = "conflict"
    RATE_LIMITED = "rate_limited"
    LIMIT_EXCEEDED = "limit_exceeded"
    UNRECOVERABLE_POSITION = "unrecoverable_position"
    TIMEOUT = "timeout"
    CANCELLED = "cancelled"
    INTERNAL = "internal"


# Whether the same request may succeed when it is sent again, unchanged.
RETRYABLE: dict[ErrorCode, bool] = {
    ErrorCode.INVALID_JSON: False,
    ErrorCode.INVALID_MESSAGE: False,
    ErrorCode.UNKNOWN_TYPE: False,
    ErrorCode.MESSAGE_TOO_LARGE: False,
    ErrorCode.UNAUTHENTICATED: False,
    ErrorCode.PERMISSION_DENIED: False,
    ErrorCode.NOT_FOUND: False,
    ErrorCode.CONFLICT: False,
    ErrorCode.RATE_LIMITED: True,
    ErrorCode.LIMIT_EXCEEDED: True,
    ErrorCode.UNRECOVERABLE_POSITION: False,
    ErrorCode.TIMEOUT: True,
    ErrorCode.CANCELLED: False,
    ErrorCode.INTERNAL: True,
}

# The errors that count towards close code 4400: the client sent what no client should.
BAD_MESSAGE_CODES = frozenset(
    {
        ErrorCode.INVALID_JSON,
        ErrorCode.INVALID_MESSAGE,
        ErrorCode.UNKNOWN_TYPE,
        ErrorCode.MESSAGE_TOO_LARGE,
    }
)


class RealtimeError(Exception):
    """The root of everything this package raises on purpose."""


class RequestError(RealtimeError):
    """A request that cannot be answered as asked; the connection stays open.

    `details` names what was wrong (`{"field": "payload.topic"}`); `retry_after_ms` is a wait in milliseconds.
    `request_id` is filled where the request's id was readable although the rest was not.
    """

    def __init__(
        self,
        code: ErrorCode,
        message: str,
        *,
        details: dict[str, Any] | None = None,
        retry_after_ms: int | None = None,
        request_id: str | int | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.details = details
        self.retry_after_ms = retry_after_ms
        self.request_id = request_id

    def payload(self) -> dict[str, Any]:
        """The `payload` of the error reply on the wire."""
        payload: dict[str, Any] = {
            "code": self.code.value,
            "message": self.message,
            "retryable": RETRYABLE[self.code],
        }
        if self.retry_after_ms is not None:
            payload["retry_after_ms"] = self.retry_after_ms
        if self.details is not None:
            payload["details"] = self.details
        return payload


class Refusal(RealtimeError):  # noqa: N818 it is an answer, as the protocol calls it
    """A connection that is not let in: an HTTP status, or a close code where HTTP cannot be read.

    `retry_after_s` becomes the `Retry-After` header, in seconds.
    """

    def __init__(self, status: int, code: str, message: str, *, retry_after_s: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.retry_after_s = retry_after_s

    @property
    def close_code(self) -> CloseCode:
        """The close code that says the same as the HTTP status."""
        return _CLOSE_CODE_OF_STATUS[self.status]


class PublishUnavailableError(RealtimeError):
    """A publication cannot reach the sockets from this process; the message says what to set up."""


_CLOSE_CODE_OF_STATUS: dict[int, CloseCode] = {
    400: CloseCode.BAD_MESSAGES,
    401: CloseCode.UNAUTHENTICATED,
    403: CloseCode.FORBIDDEN,
    404: CloseCode.NOT_FOUND,
    429: CloseCode.TOO_FAST,
    503: CloseCode.UNAVAILABLE,
}


def unauthenticated(
    message: str = "A credential is needed: sign in, or give a token or a ticket.",
) -> Refusal:
    """401: no credential, or one that is bad."""
    return Refusal(401, "unauthenticated", message)


def forbidden(code: str, message: str) -> Refusal:
    """403: `code` is `origin_denied`, `tenant_denied` or `permission_denied`."""
    return Refusal(403, code, message)


def unavailable(code: str, message: str, *, retry_after_s: int) -> Refusal:
    """503: `code` is `full` or `draining`."""
    return Refusal(503, code, message, retry_after_s=retry_after_s)


def internal_error(connection_id: str) -> RequestError:
    """What a client is told of a failure that is ours: where to look for it, and nothing else."""
    return RequestError(
        ErrorCode.INTERNAL,
        "Something went wrong here; it has been logged.",
        details={"connection_id": connection_id},
    )
