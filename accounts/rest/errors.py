"""The form of all REST errors: `{"error": {"code", "message", "details"?}}`."""

from typing import Any

from django.core.exceptions import BadRequest, RequestDataTooBig, SuspiciousOperation
from django.http import UnreadablePostError
from django.http.multipartparser import MultiPartParserError
from rest_framework import status
from rest_framework.exceptions import ValidationError
from rest_framework.response import Response
from rest_framework.views import exception_handler as rest_exception_handler

from accounts.rest.exceptions import ApiError
from realtime import ErrorCode, Refusal, RequestError

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


def exception_handler(error: Exception, context: dict[str, Any]) -> Response | None:
    """REST framework's `EXCEPTION_HANDLER`; None leaves an unexpected exception to Django."""
    error = _as_api_error(error)
    response = rest_exception_handler(error, context)
    if response is None:
        return None
    code = (
        error.code if isinstance(error, ApiError) else _CODE_OF_STATUS.get(response.status_code, "internal")
    )
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
    return error
