"""The answer if a view fails: JSON where programs ask, as all errors there, and the page `500.html` for people."""

import logging
import sys

from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponseBase, HttpResponseServerError, JsonResponse
from django.views import defaults

from realtime import log_database_fault

logger = logging.getLogger(__name__)

PROGRAMS = "/api/"


def server_error(request: HttpRequest) -> HttpResponseBase:
    """Django's `handler500`. Django logs the failure.

    A database that is away is 503 here too: middleware and the pages of other errors meet it outside of views.
    """
    error = sys.exception()
    if isinstance(error, OperationalError | InterfaceError):
        log_database_fault("A page", error)
        answer = _answer(request, "busy", "The database is unavailable now; try again.")
        answer.status_code, answer["Retry-After"] = 503, "1"
        return answer
    return _answer(request, "internal", "Something went wrong here; it has been logged.")


def _answer(request: HttpRequest, code: str, message: str) -> HttpResponseBase:
    if not request.path.startswith(PROGRAMS):
        return _page(request)
    return JsonResponse({"error": {"code": code, "message": message}}, status=500)


def _page(request: HttpRequest) -> HttpResponseBase:
    try:
        return defaults.server_error(request)
    except ValueError as error:
        # The page links to static files. Without this, each middleware would try again, and fail.
        logger.error("%s. Run manage.py collectstatic --noinput, and restart", error)  # noqa: TRY400 Django logged it
        return HttpResponseServerError("Something broke here; it has been logged.", content_type="text/plain")
