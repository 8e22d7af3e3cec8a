"""The OpenAPI document at `/api/schema/`."""

from functools import cache
from typing import Any

from django.http import HttpResponse
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.utils import extend_schema
from drf_spectacular.views import SpectacularAPIView
from rest_framework.request import Request


class SchemaView(SpectacularAPIView):
    """Gives the document, which each process makes once in each form: it takes 0.3 s, and anybody may ask for it.

    The library's view also takes `lang` and `version` from the address. It would load the texts of every language
    that is asked for, existing or not, and keep them; and it writes the version into a header.
    """

    @extend_schema(exclude=True)
    def get(self, request: Request, *args: Any, **kwargs: Any) -> HttpResponse:
        """Return the document as YAML or JSON."""
        form = request.accepted_renderer
        charset = f"; charset={form.charset}" if form.charset else ""
        response = HttpResponse(_document(str(form.media_type)), content_type=f"{form.media_type}{charset}")
        response["Content-Disposition"] = f'inline; filename="Rockstar.{form.format}"'
        return response


@cache
def _document(media_type: str) -> str | bytes:
    form = next(each for each in SchemaView.renderer_classes if each.media_type == media_type)
    return form().render(SchemaGenerator().get_schema(request=None, public=True), media_type, {})
