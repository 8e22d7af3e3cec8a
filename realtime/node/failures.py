"""Turns the exception of a handler into the error that the client is sent."""

import logging
import sys
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from math import ceil
from typing import Any

from django.core.exceptions import (
    NON_FIELD_ERRORS,
    BadRequest,
    DisallowedHost,
    ObjectDoesNotExist,
    PermissionDenied,
    SuspiciousOperation,
    ValidationError,
)
from django.db import InterfaceError, OperationalError
from django.http import Http404

from realtime.node.database_faults import UNAVAILABLE, log_database_fault
from realtime.protocol.errors import ErrorCode, PublishUnavailableError, Refusal, RequestError, internal_error
from realtime.sockets.labels import Labelled, label, log_fields
from realtime.topics.engine.ports import EngineUnavailableError

logger = logging.getLogger(__name__)

NOT_ALLOWED = "You may not do this."
NOTHING_HERE = "This does not exist here."
NOT_VALID = "The request is not valid."
# The names under which forms, models and serializers put errors that concern no single field.
_NO_FIELD = frozenset({NON_FIELD_ERRORS, "non_field_errors"})
_STATUSES = frozenset(int(status) for status in HTTPStatus)
# The error code on a socket for an HTTP status of a `Refusal` or of an error of Django REST framework. Any
# other 4xx is `invalid_message`, any other 5xx `internal`.
_CODE_OF_STATUS = {
    HTTPStatus.UNAUTHORIZED: ErrorCode.UNAUTHENTICATED,
    HTTPStatus.PAYMENT_REQUIRED: ErrorCode.PERMISSION_DENIED,
    HTTPStatus.FORBIDDEN: ErrorCode.PERMISSION_DENIED,
    HTTPStatus.NOT_FOUND: ErrorCode.NOT_FOUND,
    HTTPStatus.REQUEST_TIMEOUT: ErrorCode.TIMEOUT,
    HTTPStatus.CONFLICT: ErrorCode.CONFLICT,
    HTTPStatus.GONE: ErrorCode.NOT_FOUND,
    HTTPStatus.PRECONDITION_FAILED: ErrorCode.CONFLICT,
    HTTPStatus.LOCKED: ErrorCode.CONFLICT,
    HTTPStatus.TOO_MANY_REQUESTS: ErrorCode.RATE_LIMITED,
    HTTPStatus.UNAVAILABLE_FOR_LEGAL_REASONS: ErrorCode.PERMISSION_DENIED,
    HTTPStatus.SERVICE_UNAVAILABLE: ErrorCode.TIMEOUT,
    HTTPStatus.GATEWAY_TIMEOUT: ErrorCode.TIMEOUT,
}


_STATUS_OF_CODE = {
    ErrorCode.INVALID_MESSAGE: 400,
    ErrorCode.UNAUTHENTICATED: 401,
    ErrorCode.PERMISSION_DENIED: 403,
    ErrorCode.NOT_FOUND: 404,
    ErrorCode.CONFLICT: 409,
    ErrorCode.RATE_LIMITED: 429,
    ErrorCode.LIMIT_EXCEEDED: 429,
    ErrorCode.TIMEOUT: 503,
}


def request_error(
    error: BaseException, what: str, connection: Labelled, verb: str | None = None
) -> RequestError:
    """Return the error to answer with. An unexpected exception is logged here, once.

    `what` names the handler that failed, and begins the log line: "The method get_order". `verb` is the type of the
    request, if there is one.
    """
    answer = _request_error(error, what, connection, verb)
    answer.verb = verb or ""
    if answer is not error:
        answer.exception = f"{type(error).__module__}.{type(error).__qualname__}".removeprefix("builtins.")
    return answer


def _request_error(error: BaseException, what: str, connection: Labelled, verb: str | None) -> RequestError:
    known = known_error(error)
    if known is not None:
        return known
    if isinstance(error, EngineUnavailableError | PublishUnavailableError):
        return RequestError(ErrorCode.TIMEOUT, "The broker cannot be reached now; try again.")
    # Named here too, because a handler may run where the context is the server's.
    about = log_fields(connection) if verb is None else {**log_fields(connection), "verb": verb}
    if isinstance(error, TimeoutError):
        logger.warning("%s took too long on %s", what, label(connection), extra=about)
        return RequestError(ErrorCode.TIMEOUT, "The call took too long.")
    if isinstance(error, OperationalError | InterfaceError):
        log_database_fault(f"{what} on {label(connection)}", error, about)
        return RequestError(ErrorCode.TIMEOUT, UNAVAILABLE)
    logger.error("%s failed on %s", what, label(connection), exc_info=error, extra=about)
    return internal_error(connection.id)


def known_error(error: BaseException) -> RequestError | None:
    """Return the error that an exception of ours, of Django or of Django REST framework stands for. None if
    the exception means a failure and not an answer, and for all others."""
    if isinstance(error, RequestError):
        return error
    if isinstance(error, Refusal):
        wait_s = error.retry_after_s
        return _of_status(error.status, error.message, retry_after_ms=wait_s and wait_s * 1000)
    return _of_django(error) or _of_rest_framework(error)


def refusal_of(error: BaseException) -> Refusal | None:
    """Return the refusal that an exception stands for if no socket is open yet; None if it is a failure."""
    if isinstance(error, Refusal):
        return error
    known = known_error(error)
    if known is None or known.code not in _STATUS_OF_CODE:
        return None
    status = _STATUS_OF_CODE[known.code]
    wait_s = known.retry_after_ms and ceil(known.retry_after_ms / 1000)
    return Refusal(status, known.code.value, known.message, retry_after_s=wait_s)


def _of_django(error: BaseException) -> RequestError | None:
    if isinstance(error, PermissionDenied):
        return RequestError(ErrorCode.PERMISSION_DENIED, _own_words(error) or NOT_ALLOWED)
    if isinstance(error, Http404 | ObjectDoesNotExist):
        # Without their text: it names models.
        return RequestError(ErrorCode.NOT_FOUND, NOTHING_HERE)
    if isinstance(error, ValidationError):
        detail = error.message_dict if hasattr(error, "error_dict") else error.messages
        return _invalid(detail)
    if isinstance(error, SuspiciousOperation | BadRequest) and not isinstance(error, DisallowedHost):
        return RequestError(ErrorCode.INVALID_MESSAGE, NOT_VALID, details={"field": "payload"})
    return None


def _of_rest_framework(error: BaseException) -> RequestError | None:
    # If the module was not imported, none of its exceptions can be here.
    module = sys.modules.get("rest_framework.exceptions")
    if module is None or not isinstance(error, module.APIException):
        return None
    if isinstance(error, module.ValidationError):
        return _invalid(error.detail)
    detail = error.detail if isinstance(error.detail, str) else NOT_VALID
    wait_s = getattr(error, "wait", None)
    return _of_status(error.status_code, str(detail), retry_after_ms=wait_s and round(wait_s * 1000))


def _of_status(status: int, message: str, *, retry_after_ms: int | None) -> RequestError | None:
    code = _CODE_OF_STATUS.get(HTTPStatus(status)) if status in _STATUSES else None
    if code is None and status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return None
    return RequestError(code or ErrorCode.INVALID_MESSAGE, message, retry_after_ms=retry_after_ms)


def _invalid(detail: Any) -> RequestError:
    """Return `invalid_message` with `details` by field: the path of the first, and the messages of each."""
    fields: dict[str, list[str]] = {}
    for path, message in _messages(detail, "payload"):
        fields.setdefault(path, []).append(message)
    path, messages = next(iter(fields.items()), ("payload", [NOT_VALID]))
    return RequestError(ErrorCode.INVALID_MESSAGE, messages[0], details={"field": path, "fields": fields})


def _messages(detail: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(detail, Mapping):
        for name, inner in detail.items():
            # DRF numbers the items of a list this way.
            field = f"{path}[{name}]" if isinstance(name, int) else f"{path}.{name}"
            yield from _messages(inner, path if name in _NO_FIELD else field)
    elif isinstance(detail, list | tuple):
        is_nested = any(isinstance(inner, Mapping) for inner in detail)
        for index, inner in enumerate(detail):
            yield from _messages(inner, f"{path}[{index}]" if is_nested else path)
    else:
        yield path, str(detail)


def _own_words(error: BaseException) -> str:
    """Return the text that the error was raised with; "" if there is none."""
    return str(error.args[0]) if error.args and error.args[0] else ""
