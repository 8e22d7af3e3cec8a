"""The sender of a request, for its log lines."""

from typing import Any

from django.http import HttpRequest, HttpResponseBase
from django.utils.deprecation import MiddlewareMixin
from django.utils.functional import LazyObject, empty


class RequestUserMiddleware(MiddlewareMixin):
    """Adds `user_id` to the scope of a request whose user is known, without a query. Place it last in MIDDLEWARE."""

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        """Note the user that the view knows: of a session, or of a token that REST framework checked."""
        user: Any = getattr(request, "user", None)
        is_asked = not isinstance(user, LazyObject) or vars(user).get("_wrapped") is not empty
        scope: dict[str, Any] = getattr(request, "scope", {})
        if is_asked and user is not None and user.pk is not None:
            scope["user_id"] = user.pk if isinstance(user.pk, int) else str(user.pk)
        return response
