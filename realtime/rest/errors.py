"""The form of all REST errors: `{"error": {"code", "message", "details"?}}`."""

from math import ceil
from typing import Any, Self

from django.core.exceptions import BadRequest, RequestDataTooBig, SuspiciousOperation
from django.db import InterfaceError, OperationalError
from django.http import UnreadablePostError
from django.http.multipartparser import MultiPartParserError
from rest_framework import status
from rest_framework.exceptions import APIException, ValidationError
from rest_framework.response import Response
from rest_framework.views import exception_handler as rest_exception_handler

from realtime.node.database_faults import UNAVAILABLE, log_database_fault
from realtime.protocol.errors import ErrorCode, Refusal, RequestError

_CODE_OF_STATUS = {
    status.HTTP_400_BAD_REQUEST: ErrorCode.INVALID_MESSAGE.value,
    status.HTTP_401_UNAUTHORIZED: ErrorCode.UNAUTHENTICATED.value,
    status.HTTP_403_FORBIDDEN: ErrorCode.PERMISSION_DENIED.value,
    status.HTTP_404_NOT_FOUND: ErrorCode.NOT_FOUND.value,
    status.HTTP_405_METHOD_NOT_ALLOWED: "method_not_allowed",
    status.HTTP_406_NOT_ACCEPTABLE: "not_acceptable",
    status.HTTP_409_CONFLICT: ErrorCode.CONFLICT.value,
    status.HTTP_413_REQUEST_ENTITY_TOO_LARGE: ErrorCode.MESSAGE_TOO_LARGE.value,
    status.HTTP_415_UNSUPPORTED_MEDIA_TYPE: "unsupported_media_type",
    status.HTTP_429_TOO_MANY_REQUESTS: ErrorCode.RATE_LIMITED.value,
    status.HTTP_503_SERVICE_UNAVAILABLE: "busy",
}


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


def exception_handler(error: Exception, context: dict[str, Any]) -> Response | None:
    """REST framework's `EXCEPTION_HANDLER`; None leaves an unexpected exception to Django."""
    error = _as_api_error(error)
    response = rest_exception_handler(error, context)
    if response is None:
        return None
    # Exceptions of REST framework have no `code`.
    code = getattr(error, "code", "") or _CODE_OF_STATUS.get(response.status_code, "internal")
    body: dict[str, Any] = {"code": code}
    if isinstance(error, ValidationError):
        body |= {"message": "The request is not valid.", "details": response.data}
    else:
        body["message"] = str((response.data or {}).get("detail", ""))
        if isinstance(error, ApiError) and error.details is not None:
            body["details"] = error.details
    response.data = {"error": body}
    if response.status_code == status.HTTP_401_UNAUTHORIZED:
        response["WWW-Authenticate"] = "Bearer"
    return response


def _as_api_error(error: Exception) -> Exception:
    """Convert errors of Django and of `realtime` to those of REST framework."""
    if isinstance(error, Refusal):
        return ApiError.of_refusal(error)
    if isinstance(error, RequestError):
        return ApiError.of_request_error(error)
    if isinstance(error, RequestDataTooBig):
        return ApiError(413, ErrorCode.MESSAGE_TOO_LARGE.value, "The body is too large.")
    if isinstance(error, SuspiciousOperation | BadRequest | MultiPartParserError | UnreadablePostError):
        return ApiError(400, ErrorCode.INVALID_MESSAGE.value, "The body cannot be read.")
    if isinstance(error, OperationalError | InterfaceError):
        log_database_fault("A request", error)
        return ApiError(503, "busy", UNAVAILABLE, retry_after_s=1)
    return error
