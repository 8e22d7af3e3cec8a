"""The endpoints that act: one class for each operation, and the batch of them."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, TypeVar

from drf_spectacular.utils import extend_schema, extend_schema_view
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
    ListView,
    OrderView,
    Query,
    as_rest_error,
)
from realtime.rest.control.reads import no_rows, page_of_bans

F = TypeVar("F", bound=Callable[..., Response])
V = TypeVar("V", bound=type[OrderView])

# Operations that a batch may name.
BATCHED = (
    *("publish", "broadcast", "disconnect", "unsubscribe", "subscribe"),
    *("revoke", "ban", "announce", "drain"),
)


def _documented(summary: str, answer: Any) -> Callable[[V], V]:
    """Describe `post` of a view in the API schema: by the view's docstring, its operation and its body."""

    def documented(view: V) -> V:
        post = _schema(summary, view.operation, bodies.BODIES[view.operation], answer, view.__doc__)
        return extend_schema_view(post=post)(view)

    return documented


def _schema(
    summary: str, operation: str, request: Any, answer: Any, description: str | None = None
) -> Callable[[F], F]:
    return extend_schema(
        summary=summary,
        description=description,
        operation_id=f"realtime_{operation}",
        parameters=[IDEMPOTENCY_PARAMETER],
        request=request,
        responses={200: answer, 409: ERRORS[400], **ERRORS},
    )


@_documented("Publish to a topic", bodies.PositionAnswer)
class PublishView(OrderView):
    """Publish for the server; the publisher is null. 403 if the rule of the topic keeps it from operators."""

    operation = "publish"


@_documented("Publish the same to several topics", bodies.BroadcastAnswer)
class BroadcastView(OrderView):
    """Publish to up to 100 topics; each has its own position or error."""

    operation = "broadcast"


@_documented("Close connections", bodies.CountAnswer)
class DisconnectView(OrderView):
    """Close them with 4409; the close reason is `reconnect: …` or `stop: …` with `reason`."""

    operation = "disconnect"


@_documented("End a user's subscriptions to a topic", bodies.CountAnswer)
class UnsubscribeView(OrderView):
    """End them; the clients get the push `unsubscribed`."""

    operation = "unsubscribe"


@_documented("Subscribe a user to a topic", bodies.CountAnswer)
class SubscribeView(OrderView):
    """Subscribe the user's open connections, without asking the topic's gates; they get the push `subscribed`."""

    operation = "subscribe"


@_documented("End all tokens and sessions of a user", bodies.CountAnswer)
class RevokeView(OrderView):
    """End them; sockets close with 4401. `count` is how many close, at least 1 if there is such a user."""

    operation = "revoke"


class BansView(OrderView, ListView):
    """Bans."""

    operation, query_class = "ban", Query

    @extend_schema(
        summary="Bans in force",
        operation_id="realtime_bans",
        parameters=[Query],
        responses={200: bodies.BansAnswer, **ERRORS},
    )
    def get(self, request: Request) -> Response:
        """List them, the newest first."""
        return self.listed(page_of_bans, no_rows)

    @_schema("Ban a user or an address until a time", "ban", bodies.BanValues, bodies.BanAnswer)
    def post(self, request: Request, **path: Any) -> Response:
        """Ban: open sockets close with 4409 `stop: …`, new ones and sign-ins are refused."""
        return super().post(request, **path)


class BanView(OrderView):
    """One ban."""

    operation = "unban"
    http_method_names = ["delete", "options", "head"]

    @_schema("Lift a ban", "unban", None, bodies.CountAnswer)
    def delete(self, request: Request, ban_id: int) -> Response:
        """Lift it; `count` is 0 if there is no such ban."""
        values = self.values_of(bodies.BODIES["unban"], request.data or {})
        order = self.order("unban", values, {"id": ban_id})
        return self.answer(request, lambda: self.carry_out(order))


@_documented("Announce something to everyone connected", bodies.CountAnswer)
class AnnounceView(OrderView):
    """Push `announcement` to the JSON endpoints; with `preview`, only count them."""

    operation = "announce"


@_documented("Drain a node", bodies.CountAnswer)
class DrainView(OrderView):
    """Make it close its connections and accept no more. Answers before it is done. Not for staff of a tenant."""

    operation = "drain"


class TenantView(OrderView):
    """An operation on the tenant that the path names."""

    def order(self, name: str, values: Mapping[str, Any], path: Mapping[str, Any]) -> Order | None:
        """As `OrderView.order`."""
        order = super().order(name, values, path)
        return order and replace(order, tenant=str(path["slug"]))


@_documented("Suspend a tenant", bodies.CountAnswer)
class SuspendView(TenantView):
    """Its hosts answer 404 and its sockets close with 4404. Not for staff of a tenant."""

    operation = "suspend"


@_documented("Let a suspended tenant go on", bodies.CountAnswer)
class ResumeView(TenantView):
    """Its hosts answer again. Not for staff of a tenant."""

    operation = "resume"


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
        orders = [self.order(name, {**_shared(values), **each}, {}) for name, each in commands]
        return self.answer(request, lambda: {"results": [self._result(order) for order in orders]})

    def _checked(self, commands: list[dict[str, Any]]) -> list[tuple[str, dict[str, Any]]]:
        checked, wrong = [], {}
        for number, command in enumerate(commands):
            name = command.get("name")
            if not isinstance(name, str) or name not in BATCHED:
                wrong[str(number)] = {"name": [f"Expected one of: {', '.join(BATCHED)}."]}
                continue
            serializer = bodies.BODIES[name](data=command)
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
