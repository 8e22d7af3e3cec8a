"""The REST endpoints under /api/chat/."""

from collections import defaultdict
from collections.abc import Iterable

from django.urls import path

from chat.operations import OPERATIONS, Operation
from chat.rest.files import FileView, ProfilePictureView, UploadView
from chat.rest.views import OperationView


def _methods(operations: Iterable[str]) -> list[str]:
    names = [name.lower() for name in operations]
    return [*names, *(["head"] if "get" in names else []), "options"]


_by_path: dict[str, dict[str, Operation]] = defaultdict(dict)
for _operation in OPERATIONS.values():
    _method, _, _path = _operation.route.partition(" ")
    _by_path[_path][_method] = _operation

urlpatterns = [
    path("files/", UploadView.as_view()),
    path("files/<int:file_id>/", FileView.as_view()),
    path("files/<int:file_id>/thumbnail/", FileView.as_view(is_thumbnail=True)),
    path("profile/picture/", ProfilePictureView.as_view()),
    *(
        path(
            route,
            OperationView.as_view(operations=operations, http_method_names=_methods(operations)),
        )
        for route, operations in _by_path.items()
    ),
]
