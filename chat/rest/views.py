"""The views of the REST API. A path has one view with an operation for each of its methods."""

from collections.abc import Mapping
from time import monotonic
from typing import Any, ClassVar

from django.utils.translation import gettext as _
from msgspec import to_builtins
from rest_framework.exceptions import ValidationError
from rest_framework.metadata import SimpleMetadata
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.credentials.rates import Rates
from accounts.rest.serializers import EmptySerializer
from accounts.rest.views import TenantAPIView
from accounts.selectors import membership_of
from chat.operations import Operation
from chat.payloads import ID_MAX
from chat.rest.payloads import ALIASES, payload_of
from chat.rest.schema import ChatSchema, OperationSchema
from realtime import (
    ErrorCode,
    Identity,
    Publisher,
    RequestError,
    current_node,
    require_not_banned,
    unauthenticated,
)


class NoFields(SimpleMetadata):
    """Answers OPTIONS without the fields of bodies, for which REST framework looks in serializers and models."""

    def determine_actions(self, request: Request, view: APIView) -> dict[str, Any]:
        """No fields."""
        return {}


class ChatAPIView(TenantAPIView):
    """An endpoint for members. The credential is a token, or a session with CSRF protection."""

    # The page for a browser asks for a serializer. The fields of payloads are in the schema.
    serializer_class = EmptySerializer
    metadata_class = NoFields
    schema = ChatSchema()

    def user(self, request: Request, scopes: tuple[str, ...]) -> Publisher:
        """Return the caller.

        Raises RequestError(permission_denied: without these scopes | rate_limited), and Refusal(403) if the user
        or the address is banned.
        """
        person = membership_of(self.tenant.id, request.user.pk or 0)
        if person is None:
            raise unauthenticated()
        address = request.META.get("REMOTE_ADDR", "")
        require_not_banned(self.tenant.slug, user_id=person.user_id, address=address)
        held = request.auth.scopes if isinstance(request.auth, Identity) else person.scopes
        if missing := sorted(set(scopes) - held):
            raise RequestError(
                ErrorCode.PERMISSION_DENIED,
                _("This needs the scope {scope}.").format(scope=missing[0]),
                details={"missing_scopes": missing},
            )
        node = current_node()
        rates = node.shared(Rates, lambda: Rates(node.settings.MESSAGES_PER_S, node.settings.MESSAGES_BURST))
        rates.take((self.tenant.id, person.user_id), monotonic())
        return Publisher(person.user_id, person.user.get_username())


class OperationView(ChatAPIView):
    """Runs the operation of the request's method."""

    schema = OperationSchema()
    operations: ClassVar[Mapping[str, Operation]] = {}
    # The site's parser of JSON alone: a form is 415.
    parser_classes = APIView.parser_classes[:1]

    def run(self, request: Request, **path: Any) -> Response:
        """Answer with the reply's payload: 201 if something was created, otherwise 200."""
        method = "GET" if request.method == "HEAD" else str(request.method)
        operation = self.operations[method]
        user = self.user(request, operation.scopes)
        is_text = method == "GET"
        query = {ALIASES.get(name, name): value for name, value in request.query_params.items()}
        given = query if is_text else request.data
        if not isinstance(given, Mapping):
            raise ValidationError({"non_field_errors": [_("Expected a JSON object.")]})
        # A number in a path that the database cannot have names nothing. It is not a faulty field.
        if not all(0 < each <= ID_MAX for each in path.values() if isinstance(each, int)):
            raise RequestError(ErrorCode.NOT_FOUND, _("There is no such room or message."))
        values = {**given, **path}
        payload = payload_of(operation.payload, values, is_text=is_text)
        reply, is_new = operation.answer(self.tenant, user, payload)
        return Response(to_builtins(reply), status=201 if is_new else 200)

    get = head = post = put = patch = delete = run
