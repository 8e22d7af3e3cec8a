"""Addresses with a NUL character."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponseBase, JsonResponse

GetResponse = Callable[[HttpRequest], HttpResponseBase]
NUL, ENCODED_NUL = "\0", "%00"


class NulMiddleware:
    """Refuses a path or query with a NUL (400). PostgreSQL takes none in a text, and no page needs one.

    Django's forms refuse it by themselves; the filters and keys of the admin do not. Place it first.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Answer the request."""
        query = request.META.get("QUERY_STRING", "")
        if NUL in request.path or NUL in query or ENCODED_NUL in query:
            error = {"code": "bad_request", "message": "An address must not have a NUL character."}
            return JsonResponse({"error": error}, status=400)
        return self.get_response(request)
