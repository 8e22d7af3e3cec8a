"""The base of pages with one format, and the answers at paths where nothing is served."""

from collections.abc import Iterable
from typing import Any

from django.utils.decorators import method_decorator
from django.views.decorators.cache import never_cache
from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import NotFound
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from realtime.rest.errors import exception_handler


class OwnFormat(BaseContentNegotiation):
    """Ignores `Accept` and uses the view's first format, because probes and scrapers send any `Accept`."""

    def select_parser(self, request: Request, parsers: Iterable[BaseParser]) -> BaseParser:
        """Return the first parser."""
        return next(iter(parsers))

    def select_renderer(
        self, request: Request, renderers: Iterable[BaseRenderer], format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        """Return the first renderer."""
        renderer = next(iter(renderers))
        return renderer, str(renderer.media_type)


@method_decorator(never_cache, "dispatch")
class JsonView(APIView):
    """Answers in JSON, also for errors. The answers are not cached."""

    renderer_classes = [JSONRenderer]
    content_negotiation_class = OwnFormat

    def get_exception_handler(self) -> Any:
        """Return the handler of this package, whatever the site's own one is."""
        return exception_handler


class NothingHereView(JsonView):
    """Every other path of an API: its errors are JSON, too."""

    authentication_classes = []
    permission_classes = []

    @extend_schema(exclude=True)
    def get(self, request: Request, **path: Any) -> Response:
        """Answer 404."""
        raise NotFound("Nothing is served at this path.")

    post = put = patch = delete = get
    # Every other method, known or not.
    options = http_method_not_allowed = get  # type: ignore[assignment]  # REST framework calls it with its own request
