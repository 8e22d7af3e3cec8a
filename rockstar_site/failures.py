"""The answer if a view fails: JSON where programs ask, as all errors there, and the page `500.html` for people."""

import logging

from django.http import HttpRequest, HttpResponseBase, HttpResponseServerError, JsonResponse
from django.views import defaults

logger = logging.getLogger(__name__)

PROGRAMS = "/api/"


def server_error(request: HttpRequest) -> HttpResponseBase:
    """Django's `handler500`. The failure has been logged."""
    if not request.path.startswith(PROGRAMS):
        return _page(request)
    error = {"code": "internal", "message": "Something went wrong here; it has been logged."}
    return JsonResponse({"error": error}, status=500)


def _page(request: HttpRequest) -> HttpResponseBase:
    try:
        return defaults.server_error(request)
    except ValueError as error:
        # The page links to static files. Without this, each middleware would try again, and fail.
        logger.error("%s. Run manage.py collectstatic --noinput, and restart", error)  # noqa: TRY400 Django logged it
        return HttpResponseServerError("Something broke here; it has been logged.", content_type="text/plain")
