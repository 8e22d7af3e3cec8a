"""The exception for REST answers other than success."""

from math import ceil
from typing import Any, Self

from rest_framework.exceptions import APIException

from realtime import ErrorCode, Refusal, RequestError

_STATUS_OF_CODE = {
    ErrorCode.UNAUTHENTICATED: 401,
    ErrorCode.PERMISSION_DENIED: 403,
    ErrorCode.NOT_FOUND: 404,
    ErrorCode.CONFLICT: 409,
    ErrorCode.UNRECOVERABLE_POSITION: 409,
    ErrorCode.MESSAGE_TOO_LARGE: 413,
    ErrorCode.RATE_LIMITED: 429,
    ErrorCode.LIMIT_EXCEEDED: 429,
    ErrorCode.TIMEOUT: 503,
    ErrorCode.INTERNAL: 500,
}


class ApiError(APIException):
    """A REST answer other than success. `retry_after_s` becomes the `Retry-After` header, in seconds."""

    def __init__(
        self,
        status_code: int,
        code: str,
        message: str,
        *,
        retry_after_s: int | None = None,
        details: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(detail=message, code=code)
        self.status_code = status_code
        self.code = code
        self.details = details
        # REST framework's own handler reads this attribute.
        self.wait = retry_after_s

    @classmethod
    def of_refusal(cls, refusal: Refusal) -> Self:
        """Return the same answer that a socket would get."""
        return cls(refusal.status, refusal.code, refusal.message, retry_after_s=refusal.retry_after_s)

    @classmethod
    def of_request_error(cls, error: RequestError) -> Self:
        """Return the answer that a verb of a socket would get. `details` are by field, as of other bodies."""
        details = error.details
        if details is not None and "field" in details:
            field = str(details["field"]).removeprefix("payload.")
            details = {**details, "field": field, field: [error.message]}
        wait_s = None if error.retry_after_ms is None else ceil(error.retry_after_ms / 1000)
        status = _STATUS_OF_CODE.get(error.code, 400)
        return cls(status, error.code.value, error.message, retry_after_s=wait_s, details=details)
