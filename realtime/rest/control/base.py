"""The base of the control endpoints: credentials, tenants, limits, idempotency, errors."""

import concurrent.futures
from collections.abc import Callable, Mapping
from typing import Any

from django.db import InterfaceError, OperationalError
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from realtime.control.idempotency import answer_once
from realtime.control.link import call
from realtime.control.lists import PAGE_SIZE, PAGE_SIZE_MAX
from realtime.control.orders import NOTHING, Answer, Order
from realtime.control.service import carry_out
from realtime.core.actors import Actor
from realtime.models import IDEMPOTENCY_KEY_MAX_CHARS, SLUG_MAX_CHARS
from realtime.node import node as nodes
from realtime.node.database_faults import UNAVAILABLE, log_database_fault
from realtime.node.ports import require_tenant
from realtime.node.staff import tenant_of
from realtime.protocol.errors import (
    ErrorCode,
    NotInForceError,
    Refusal,
    RequestError,
    forbidden,
    unavailable,
)
from realtime.rest.control.access import ApiKeyAuthentication, ControlThrottle, MayControl
from realtime.rest.control.fields import Values
from realtime.rest.control.serializers import BODIES
from realtime.rest.parsers import StrictJSONParser
from realtime.rest.views import JsonView
from realtime.topics.engine.ports import EngineUnavailableError

KEY_HEADER = "Idempotency-Key"
PAGE_MAX = 1_000_000
STATUS_OF_CODE = {
    ErrorCode.PERMISSION_DENIED: 403,
    ErrorCode.NOT_FOUND: 404,
    ErrorCode.CONFLICT: 409,
    ErrorCode.MESSAGE_TOO_LARGE: 413,
    ErrorCode.UNRECOVERABLE_POSITION: 409,
    ErrorCode.RATE_LIMITED: 429,
    ErrorCode.LIMIT_EXCEEDED: 429,
    ErrorCode.TIMEOUT: 503,
}
IDEMPOTENCY_PARAMETER = OpenApiParameter(
    KEY_HEADER,
    str,
    OpenApiParameter.HEADER,
    description=f"1 to {IDEMPOTENCY_KEY_MAX_CHARS} characters. The same request again gets the same answer, "
    "and nothing is done twice.",
)
TENANT_PARAMETER = OpenApiParameter("tenant", str, description="Slug. For superusers and operators' keys.")


class ControlErrorBody(serializers.Serializer[Any]):
    """The code and message of an error; `details` names all wrong fields."""

    code = serializers.CharField()
    message = serializers.CharField()
    details = serializers.DictField(required=False)


class ControlError(serializers.Serializer[Any]):
    """The form of every error."""

    error = ControlErrorBody()


ERRORS = {
    400: OpenApiResponse(ControlError, "A wrong field; `details` names all of them."),
    401: OpenApiResponse(ControlError, "No credential, or a bad one."),
    403: OpenApiResponse(ControlError, "The scope, the tenant or the rule of the topic says no."),
    429: OpenApiResponse(ControlError, "Too many requests."),
    503: OpenApiResponse(
        ControlError, "`not_in_force`: not all nodes could be told. `busy`: nothing was done."
    ),
}


class Elsewhere(Exception):  # noqa: N818 not a failure: its catcher answers that there is nothing
    """The tenant does not exist, or is another one than the operator's."""


class Query(serializers.Serializer[Any]):
    """The query parameters of a list."""

    tenant = serializers.CharField(required=False, max_length=SLUG_MAX_CHARS, allow_blank=True)
    page = serializers.IntegerField(default=1, min_value=1, max_value=PAGE_MAX)
    page_size = serializers.IntegerField(default=PAGE_SIZE, min_value=1, max_value=PAGE_SIZE_MAX)


class ControlView(JsonView):
    """Admits operators. `actor` is the operator of the request."""

    authentication_classes = [ApiKeyAuthentication, *JsonView.authentication_classes]
    permission_classes = [MayControl]
    throttle_classes = [ControlThrottle]
    parser_classes = [StrictJSONParser]

    @property
    def actor(self) -> Actor:
        """The operator."""
        actor: Actor = self.request.actor  # type: ignore[attr-defined]  # set by MayControl
        return actor

    @property
    def host_tenant(self) -> str:
        """The slug of the request's host."""
        tenant = tenant_of(self.request)
        assert tenant is not None
        return tenant.slug

    def tenant(self, named: str | None, *, otherwise: str | None) -> str | None:
        """Return the tenant to act on: the operator's own, or the one that an operator of all tenants has `named`.

        `otherwise` is used if no tenant is named. Raises Elsewhere.
        """
        if self.actor.tenant is not None:
            if named and named != self.actor.tenant:
                raise Elsewhere
            return self.actor.tenant
        if not named:
            return otherwise
        try:
            require_tenant(nodes.current_node().directory, named)
        except RequestError:
            raise Elsewhere from None
        return named

    def handle_exception(self, exc: Exception) -> Response:
        """Answer errors of this package in the form of all REST errors."""
        return super().handle_exception(as_rest_error(exc))


class ListView(ControlView):
    """A read that names its parameters in `query_class`.

    A tenant that does not exist, or that the operator may not see, is answered like one in which there is nothing.
    """

    query_class: type[serializers.Serializer[Any]] = Query

    def values(self) -> dict[str, Any]:
        """Return the checked query parameters; raises ValidationError."""
        query = self.query_class(data=self.request.query_params.dict())
        query.is_valid(raise_exception=True)
        values: dict[str, Any] = query.validated_data
        return values

    def listed(
        self,
        read: Callable[[str | None, dict[str, Any]], dict[str, Any]],
        nothing: Callable[[dict[str, Any]], dict[str, Any]],
    ) -> Response:
        """What `read` finds of a tenant or of all (None); `nothing` of a tenant that the operator may not see."""
        values = self.values()
        try:
            tenant = self.tenant(values.get("tenant"), otherwise=None)
        except Elsewhere:
            return Response(nothing(values))
        return Response(read(tenant, values))

    def listed_of_one(
        self,
        read: Callable[[str, dict[str, Any]], dict[str, Any]],
        nothing: Callable[[dict[str, Any]], dict[str, Any]],
    ) -> Response:
        """As `listed`, of one tenant: the host's if none is named."""
        return self.listed(lambda tenant, values: read(tenant or self.host_tenant, values), nothing)


class OrderView(ControlView):
    """A POST that carries out the operation `operation`, with its body of BODIES."""

    operation = ""

    def post(self, request: Request, **path: Any) -> Response:
        """Carry it out, once for each Idempotency-Key."""
        values = self.values_of(BODIES[self.operation], request.data)
        order = self.order(self.operation, values, path)
        return self.answer(request, lambda: self.carry_out(order))

    def values_of(self, values_class: type[Values], data: Any) -> dict[str, Any]:
        """Return the checked body; raises ValidationError, which names the bad header too."""
        serializer = values_class(data=data)
        wrong: dict[str, Any] = {}
        if not serializer.is_valid():
            wrong = dict(serializer.errors)
        key = self.request.headers.get(KEY_HEADER)
        if key is not None and not (0 < len(key) <= IDEMPOTENCY_KEY_MAX_CHARS and key.isprintable()):
            wrong[KEY_HEADER] = [f"Expected 1 to {IDEMPOTENCY_KEY_MAX_CHARS} printable characters."]
        if wrong:
            raise ValidationError(wrong)
        values: dict[str, Any] = serializer.validated_data
        return values

    def order(self, name: str, values: Mapping[str, Any], path: Mapping[str, Any]) -> Order | None:
        """Return the order; None if it names another tenant's things. Raises Refusal(403)."""
        if fault := self.actor.fault_of(name):
            raise forbidden("permission_denied", fault)
        target = {**{key: values[key] for key in values if key not in {"tenant", "reason"}}, **path}
        otherwise = None if _is_global(name, target) else self.host_tenant
        try:
            tenant = self.tenant(values.get("tenant"), otherwise=otherwise)
        except Elsewhere:
            return None
        return Order(name, self.actor, tenant, target, values.get("reason", ""))

    def carry_out(self, order: Order | None) -> Answer:
        """Carry out one order."""
        if order is None:
            return NOTHING
        chosen = order
        return call(lambda link: carry_out(link, chosen))

    def answer(self, request: Request, work: Callable[[], Answer]) -> Response:
        """Answer with the result of `work`, or with the earlier result if the key was used before."""
        key = request.headers.get(KEY_HEADER)
        if key is None:
            return Response(work())
        asked = [request.method, request.path, request.data]
        return Response(answer_once(self.actor.key, key, asked, work))


def as_rest_error(error: Exception) -> Exception:
    """Errors of this package as Refusals and errors of REST framework; other errors as they are."""
    if isinstance(error, RequestError):
        return _of_request_error(error)
    if isinstance(error, NotInForceError):
        return unavailable("not_in_force", str(error), retry_after_s=1)
    if isinstance(error, InterfaceError | OperationalError):
        log_database_fault("An order", error)
        return unavailable("busy", UNAVAILABLE, retry_after_s=1)
    if isinstance(error, EngineUnavailableError):
        return unavailable("busy", "The broker cannot be reached now; try again.", retry_after_s=1)
    if isinstance(error, concurrent.futures.TimeoutError):
        return unavailable("busy", "The nodes did not answer in time.", retry_after_s=1)
    return error


def _of_request_error(error: RequestError) -> Exception:
    status = STATUS_OF_CODE.get(error.code)
    if status is not None:
        wait_s = None if error.retry_after_ms is None else max(error.retry_after_ms // 1000, 1)
        return Refusal(status, error.code.value, error.message, retry_after_s=wait_s)
    field = str((error.details or {}).get("field", "")).removeprefix("payload.") or "non_field_errors"
    return ValidationError({field: [error.message]})


def _is_global(name: str, target: Mapping[str, Any]) -> bool:
    """Return whether the target has the same name on every tenant: a user, an address, a connection, a node."""
    if name in {"revoke", "ban", "unban", "drain", "suspend", "resume"}:
        return True
    return name == "disconnect" and any(target.get(each) for each in ("connection_id", "user_id", "address"))
