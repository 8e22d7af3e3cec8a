"""The endpoints that act: one class for each operation, and the batch of them."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import Throttled, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from realtime.control.orders import Answer, Order
from realtime.node import node as nodes
from realtime.protocol.errors import NotInForceError, Refusal, RequestError
from realtime.rest.control import serializers as bodies
from realtime.rest.control.access import ControlRates
from realtime.rest.control.base import (
    ERRORS,
    IDEMPOTENCY_PARAMETER,
    Elsewhere,
    ListView,
    OrderView,
    Query,
    as_rest_error,
)
from realtime.rest.control.fields import Values
from realtime.rest.control.reads import page_of_bans

F = TypeVar("F", bound=Callable[..., Response])

# Operations that a batch may name, with their body, and whether they concern all tenants.
BATCHED: dict[str, tuple[type[Values], bool]] = {
    "publish": (bodies.PublishValues, False),
    "broadcast": (bodies.BroadcastValues, False),
    "disconnect": (bodies.DisconnectValues, False),
    "unsubscribe": (bodies.SubscriptionValues, False),
    "subscribe": (bodies.SubscriptionValues, False),
    "revoke": (bodies.RevokeValues, False),
    "ban": (bodies.BanValues, False),
    "announce": (bodies.AnnounceValues, False),
    "drain": (bodies.DrainValues, True),
}


def _schema(summary: str, operation: str, request: Any, answer: Any) -> Callable[[F], F]:
    return extend_schema(
        summary=summary,
        operation_id=f"realtime_{operation}",
        parameters=[IDEMPOTENCY_PARAMETER],
        request=request,
        responses={200: answer, 409: ERRORS[400], **ERRORS},
    )


class PublishView(OrderView):
    """Publish to a topic."""

    operation, values_class = "publish", bodies.PublishValues

    @_schema("Publish to a topic", "publish", bodies.PublishValues, bodies.PositionAnswer)
    def post(self, request: Request, **path: Any) -> Response:
        """Publish for the server; the publisher is null. 403 if the rule of the topic says `metadata`."""
        return super().post(request, **path)


class BroadcastView(OrderView):
    """Publish to several topics."""

    operation, values_class = "broadcast", bodies.BroadcastValues

    @_schema(
        "Publish the same to several topics", "broadcast", bodies.BroadcastValues, bodies.BroadcastAnswer
    )
    def post(self, request: Request, **path: Any) -> Response:
        """Publish to up to 100 topics; each has its own position or error."""
        return super().post(request, **path)


class DisconnectView(OrderView):
    """Close connections."""

    operation, values_class = "disconnect", bodies.DisconnectValues

    @_schema("Close connections", "disconnect", bodies.DisconnectValues, bodies.CountAnswer)
    def post(self, request: Request, **path: Any) -> Response:
        """Close them with 4409; the close reason is `reconnect: …` or `stop: …` with `reason`."""
        return super().post(request, **path)


class UnsubscribeView(OrderView):
    """End subscriptions."""

    operation, values_class = "unsubscribe", bodies.SubscriptionValues

    @_schema(
        "End a user's subscriptions to a topic", "unsubscribe", bodies.SubscriptionValues, bodies.CountAnswer
    )
    def post(self, request: Request, **path: Any) -> Response:
        """End them; the clients get the push `unsubscribed`."""
        return super().post(request, **path)


class SubscribeView(OrderView):
    """Begin subscriptions."""

    operation, values_class = "subscribe", bodies.SubscriptionValues

    @_schema("Subscribe a user to a topic", "subscribe", bodies.SubscriptionValues, bodies.CountAnswer)
    def post(self, request: Request, **path: Any) -> Response:
        """Subscribe the user's open connections, without asking the topic's gates; they get the push `subscribed`."""
        return super().post(request, **path)


class RevokeView(OrderView):
    """End credentials."""

    operation, values_class = "revoke", bodies.RevokeValues

    @_schema("End all tokens and sessions of a user", "revoke", bodies.RevokeValues, bodies.CountAnswer)
    def post(self, request: Request, **path: Any) -> Response:
        """End them; sockets close with 4401. `count` is how many close, at least 1 if there is such a user."""
        return super().post(request, **path)


class BansView(OrderView, ListView):
    """Bans."""

    operation, values_class, query_class = "ban", bodies.BanValues, Query

    @extend_schema(
        summary="Bans in force",
        operation_id="realtime_bans",
        parameters=[Query],
        responses={200: bodies.BansAnswer, **ERRORS},
    )
    def get(self, request: Request) -> Response:
        """List them, the newest first."""
        values = self.values()
        try:
            tenant = self.tenant(values.get("tenant"), otherwise=None)
        except Elsewhere:
            return Response({"count": 0, "results": []})
        return Response(page_of_bans(values, tenant))

    @_schema("Ban a user or an address until a time", "ban", bodies.BanValues, bodies.BanAnswer)
    def post(self, request: Request, **path: Any) -> Response:
        """Ban: open sockets close with 4409 `stop: …`, new ones and sign-ins are refused."""
        return super().post(request, **path)


class BanView(OrderView):
    """One ban."""

    http_method_names = ["delete", "options", "head"]

    @_schema("Lift a ban", "unban", None, bodies.CountAnswer)
    def delete(self, request: Request, ban_id: int) -> Response:
        """Lift it; `count` is 0 if there is no such ban."""
        values = self.values_of(bodies.NoValues, request.data or {})
        order = self.order("unban", values, {"id": ban_id}, is_for_all=False)
        return self.answer(request, lambda: self.carry_out(order))


class AnnounceView(OrderView):
    """Announcements."""

    operation, values_class = "announce", bodies.AnnounceValues

    @_schema(
        "Announce something to everyone connected", "announce", bodies.AnnounceValues, bodies.CountAnswer
    )
    def post(self, request: Request, **path: Any) -> Response:
        """Push `announcement` to the JSON endpoints; with `preview`, only count them."""
        return super().post(request, **path)


class DrainView(OrderView):
    """Draining."""

    operation, values_class, is_for_all = "drain", bodies.DrainValues, True

    @_schema("Drain a node", "drain", bodies.DrainValues, bodies.CountAnswer)
    def post(self, request: Request, **path: Any) -> Response:
        """Make it close its connections and accept no more. Answers before it is done. Not for staff of a tenant."""
        return super().post(request, **path)


class SuspendView(OrderView):
    """Suspending a tenant."""

    operation, values_class, is_for_all = "suspend", bodies.NoValues, True

    @_schema("Suspend a tenant", "suspend", bodies.NoValues, bodies.CountAnswer)
    def post(self, request: Request, **path: Any) -> Response:
        """Its hosts answer 404 and its sockets close with 4404. Not for staff of a tenant."""
        return super().post(request, **path)


class ResumeView(OrderView):
    """Ending a suspension."""

    operation, values_class, is_for_all = "resume", bodies.NoValues, True

    @_schema("Let a suspended tenant go on", "resume", bodies.NoValues, bodies.CountAnswer)
    def post(self, request: Request, **path: Any) -> Response:
        """Its hosts answer again. Not for staff of a tenant."""
        return super().post(request, **path)


class BatchView(OrderView):
    """Several operations in one request."""

    @_schema("Several operations, in order", "batch", bodies.BatchValues, bodies.BatchAnswer)
    def post(self, request: Request, **path: Any) -> Response:
        """Check all commands, then carry them out in order; one that fails does not stop the next.

        Each command is `{name, …}` with the body of the operation `name`.
        """
        values = self.values_of(bodies.BatchValues, request.data)
        commands = self._checked(values["commands"])
        rates = nodes.current_node().shared(ControlRates, ControlRates)
        if wait_s := rates.take(self.actor, len(commands)):
            raise Throttled(wait_s)
        orders = [
            self.order(name, {**_shared(values), **each}, {}, is_for_all=BATCHED[name][1])
            for name, each in commands
        ]
        return self.answer(request, lambda: {"results": [self._result(order) for order in orders]})

    def _checked(self, commands: list[dict[str, Any]]) -> list[tuple[str, dict[str, Any]]]:
        checked, wrong = [], {}
        for number, command in enumerate(commands):
            name = command.get("name")
            if not isinstance(name, str) or name not in BATCHED:
                wrong[str(number)] = {"name": [f"Expected one of: {', '.join(BATCHED)}."]}
                continue
            serializer = BATCHED[name][0](data=command)
            if serializer.is_valid():
                checked.append((name, serializer.validated_data))
            else:
                wrong[str(number)] = serializer.errors
        if wrong:
            raise ValidationError({"commands": wrong})
        return checked

    def _result(self, order: Order | None) -> Answer:
        try:
            return self.carry_out(order)
        except RequestError as error:
            return {"error": error.payload()}
        except (NotInForceError, Refusal) as error:
            refusal = as_rest_error(error)
            assert isinstance(refusal, Refusal)
            return {"error": {"code": refusal.code, "message": refusal.message, "retryable": True}}


def _shared(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: values[name] for name in ("tenant", "reason") if name in values}
