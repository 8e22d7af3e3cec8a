"""The HTTP methods of pages that can only be read. Needs no REST framework."""

from collections.abc import Callable
from functools import wraps

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.csrf import csrf_exempt


def only_read(view: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """Answer other methods with 405 in the form of all errors of the HTTP interface.

    Django's own decorator answers without a body, and only after the protection against forged forms, with a page.
    """

    @csrf_exempt
    @wraps(view)
    def reading(request: HttpRequest) -> HttpResponse:
        if request.method in {"GET", "HEAD"}:
            return view(request)
        error = {"code": "method_not_allowed", "message": f'Method "{request.method}" not allowed.'}
        return JsonResponse({"error": error}, status=405, headers={"Allow": "GET, HEAD"})

    return reading
