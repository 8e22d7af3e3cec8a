"""The error tree. A request error answers a request and keeps the socket open; a refusal
prevents the connection."""

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


# Whether the same request may succeed if it is sent again unchanged.
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

# The errors that count towards close code 4400: messages that a correct client does not send.
BAD_MESSAGE_CODES = frozenset(
    {
        ErrorCode.INVALID_JSON,
        ErrorCode.INVALID_MESSAGE,
        ErrorCode.UNKNOWN_TYPE,
        ErrorCode.MESSAGE_TOO_LARGE,
    }
)


# The statuses of a refusal, and the first of those that a server answers for its own failures.
REFUSAL_STATUSES = range(400, 600)
SERVER_ERRORS = 500


class RealtimeError(Exception):
    """The base of all errors that this package raises on purpose."""


class RequestError(RealtimeError):
    """A request that cannot be fulfilled; the connection stays open.

    `details` names the fault (`{"field": "payload.topic"}`); `retry_after_ms` is a wait in milliseconds.
    `request_id` is set if the request's id could be read although the rest could not. `verb` is the type of the
    request, and `exception` the class of what was raised instead of an answer, for operators ("": not known, none).
    """

    verb = ""
    exception = ""

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
    """A connection that is refused, with an HTTP status, or with a close code if HTTP cannot be read.

    `status` is 400 to 599, any other raises ValueError. A browser, which reads no status, is closed with the code
    of the status; without one of its own, with 4403 (400 to 499: stop) or 4503 (500 to 599: come back later).
    `retry_after_s` becomes the `Retry-After` header, in seconds.
    """

    def __init__(self, status: int, code: str, message: str, *, retry_after_s: int | None = None) -> None:
        super().__init__(message)
        if status not in REFUSAL_STATUSES:
            raise ValueError(f"Expected the status of a refusal to be 400 to 599, received {status}.")
        self.status = status
        self.code = code
        self.message = message
        self.retry_after_s = retry_after_s

    @property
    def close_code(self) -> CloseCode:
        """The close code that corresponds to the HTTP status."""
        other = CloseCode.FORBIDDEN if self.status < SERVER_ERRORS else CloseCode.UNAVAILABLE
        return _CLOSE_CODE_OF_STATUS.get(self.status, other)


class PublishUnavailableError(RealtimeError):
    """A publication from this process cannot reach the sockets; the message says what to configure."""


class NotInForceError(RealtimeError):
    """An operation is not in force on all nodes; the message names the place and the reason."""


_CLOSE_CODE_OF_STATUS: dict[int, CloseCode] = {
    400: CloseCode.BAD_MESSAGES,
    401: CloseCode.UNAUTHENTICATED,
    403: CloseCode.FORBIDDEN,
    404: CloseCode.NOT_FOUND,
    408: CloseCode.TIMEOUT,
    410: CloseCode.NOT_FOUND,
    429: CloseCode.TOO_FAST,
    503: CloseCode.UNAVAILABLE,
}


def unauthenticated(
    message: str = "A credential is needed: sign in, or give a token or a ticket.",
) -> Refusal:
    """401: there is no credential, or it is invalid."""
    return Refusal(401, "unauthenticated", message)


def forbidden(code: str, message: str) -> Refusal:
    """403: `code` is `origin_denied`, `tenant_denied` or `permission_denied`."""
    return Refusal(403, code, message)


def unavailable(code: str, message: str, *, retry_after_s: int) -> Refusal:
    """503: `code` is `full` or `draining`."""
    return Refusal(503, code, message, retry_after_s=retry_after_s)


def internal_error(connection_id: str) -> RequestError:
    """The error for an unexpected failure: it gives the client a reference for the logs,
    and no other detail."""
    return RequestError(
        ErrorCode.INTERNAL,
        "Something went wrong here; it has been logged.",
        details={"connection_id": connection_id},
    )
