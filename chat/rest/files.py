"""Uploading and downloading files."""

from collections.abc import AsyncIterator

from asgiref.sync import sync_to_async
from django.core.files import File as Content
from django.core.files.uploadedfile import UploadedFile
from django.core.handlers.asgi import ASGIRequest
from django.http import FileResponse, HttpResponseBase, HttpResponseNotModified, StreamingHttpResponse
from django.utils.http import content_disposition_header
from django.utils.translation import gettext as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from msgspec import to_builtins
from rest_framework.exceptions import ValidationError
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response

from chat.files.services import access_file, file_store
from chat.files.storage import THUMBNAIL, file_path, file_storage, storage_failure
from chat.operations import READ, WRITE
from chat.people.profiles import picture_remove, picture_set
from chat.rest.schema import ERRORS, answers
from chat.rest.views import ChatAPIView
from chat.wire import File, ProfileReply

CHUNK_BYTES = 64 * 1024
# Nothing in a file runs or loads, even if a browser shows it.
SANDBOX = "default-src 'none'; style-src 'unsafe-inline'; sandbox"
# A browser asks each time whether a file may still be shown. A new profile picture has a new URL.
NO_CACHE, CACHE = "private, no-cache", "private, max-age=86400"
_UPLOAD = {
    "multipart/form-data": {
        "type": "object",
        "properties": {"file": {"type": "string", "format": "binary"}},
        "required": ["file"],
    }
}


class UploadView(ChatAPIView):
    """Takes files."""

    parser_classes = (MultiPartParser,)

    @extend_schema(operation_id="chat_file_upload", request=_UPLOAD, responses=answers(File, 201))
    def post(self, request: Request) -> Response:
        """Upload a file, to be attached to a message within a day."""
        user = self.user(request, WRITE)
        return Response(to_builtins(file_store(self.tenant, user, _uploaded(request))), status=201)


class ProfilePictureView(ChatAPIView):
    """Sets and removes the user's profile picture."""

    parser_classes = (MultiPartParser,)

    @extend_schema(operation_id="chat_picture_set", request=_UPLOAD, responses=answers(ProfileReply, 201))
    def post(self, request: Request) -> Response:
        """Upload a profile picture. It becomes a square; members of the tenant may see it."""
        user = self.user(request, WRITE)
        person = picture_set(self.tenant, user, _uploaded(request))
        return Response(to_builtins(ProfileReply(person)), status=201)

    @extend_schema(operation_id="chat_picture_remove", responses=answers(ProfileReply, 200))
    def delete(self, request: Request) -> Response:
        """Remove the profile picture."""
        user = self.user(request, WRITE)
        return Response(to_builtins(ProfileReply(picture_remove(self.tenant, user))))


class FileView(ChatAPIView):
    """Gives files to users who may read their message."""

    is_thumbnail = False

    @extend_schema(responses={(200, "application/octet-stream"): OpenApiTypes.BINARY, **ERRORS})
    def get(self, request: Request, file_id: int) -> HttpResponseBase:
        """Return the content of a file, as an attachment."""
        user = self.user(request, READ)
        file = access_file(self.tenant.id, user.id, file_id)
        cache, tag = CACHE if file.is_profile_picture else NO_CACHE, f'"{file.key.hex}"'
        if request.headers.get("if-none-match") == tag:
            return HttpResponseNotModified(headers={"Cache-Control": cache, "ETag": tag})
        path, kind = file_path(file.tenant_id, file.key), file.type
        if self.is_thumbnail and file.width:
            path, kind = path + THUMBNAIL, "image/webp"
        try:
            content = file_storage().open(path)
        except OSError as error:
            # Deleted since it was looked up, or else the storage fails.
            access_file(self.tenant.id, user.id, file_id)
            raise storage_failure(error) from error
        response = _streamed(request, content, kind)
        response["Content-Disposition"] = content_disposition_header(as_attachment=True, filename=file.name)
        response["X-Content-Type-Options"] = "nosniff"
        response["Content-Security-Policy"] = SANDBOX
        response["Cache-Control"], response["ETag"] = cache, tag
        return response


def _uploaded(request: Request) -> "UploadedFile[bytes]":
    uploaded: UploadedFile[bytes] | None = request.FILES.get("file")
    if uploaded is None:
        raise ValidationError({"file": [_("This field is required.")]})
    return uploaded


def _streamed(request: Request, content: "Content[bytes]", kind: str) -> StreamingHttpResponse:
    if not isinstance(request._request, ASGIRequest):  # noqa: SLF001 REST framework's documented way to it
        return FileResponse(content, content_type=kind)
    # Under ASGI Django would read a synchronous iterator to its end first.
    response = StreamingHttpResponse(_chunks(content), content_type=kind)
    response["Content-Length"] = content.size
    return response


async def _chunks(content: "Content[bytes]") -> AsyncIterator[bytes]:
    read = sync_to_async(content.read, thread_sensitive=False)
    try:
        while chunk := await read(CHUNK_BYTES):
            yield chunk
    finally:
        content.close()
