"""The answer if a view fails: JSON where programs ask, as all errors there, and the page `500.html` for people."""

from django.http import HttpRequest, HttpResponseBase, JsonResponse
from django.views import defaults

PROGRAMS = "/api/"


def server_error(request: HttpRequest) -> HttpResponseBase:
    """Django's `handler500`. The failure has been logged."""
    if not request.path.startswith(PROGRAMS):
        return defaults.server_error(request)
    error = {"code": "internal", "message": "Something went wrong here; it has been logged."}
    return JsonResponse({"error": error}, status=500)
