"""URLs with and without the final slash."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponseBase
from django.urls import is_valid_path

GetResponse = Callable[[HttpRequest], HttpResponseBase]


class EitherSlashMiddleware:
    """Serves `/api/token` as `/api/token/`, and `/metrics/` as `/metrics`, as the WebSocket routes do.

    Without it Django redirects, which loses the body of a POST, or raises with DEBUG. Place it before
    CommonMiddleware.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Answer the request with the view of the path that exists."""
        path = request.path_info
        if not is_valid_path(path):
            other = path[:-1] if path.endswith("/") else f"{path}/"
            if is_valid_path(other):
                request.path_info = request.path = other
        return self.get_response(request)
