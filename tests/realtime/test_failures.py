"""What a client is told of a handler that failed, and what is logged."""

from types import SimpleNamespace
from typing import Any, cast

import psycopg
import pytest
from django import forms
from django.core.exceptions import (
    BadRequest,
    DisallowedHost,
    MultipleObjectsReturned,
    ObjectDoesNotExist,
    PermissionDenied,
    RequestDataTooBig,
    SuspiciousOperation,
    ValidationError,
)
from django.db import InterfaceError, InternalError, OperationalError
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created
from django.http import Http404
from rest_framework import exceptions as rest
from rest_framework import serializers

from accounts.models import User
from realtime.middleware.refusals import Refusals
from realtime.node.database_faults import tell_read_only
from realtime.node.failures import known_error, refusal_of, request_error
from realtime.protocol.close_codes import CloseCode
from realtime.protocol.errors import ErrorCode, Refusal, RequestError, forbidden
from realtime.sockets.labels import Labelled
from realtime.topics.engine.ports import EngineUnavailableError
from tests.realtime.followers import ACME, identity

CONNECTION = cast("Labelled", SimpleNamespace(id="c1", tenant=ACME, identity=identity(7)))
WHAT = "The handler of 'get_order'"


@pytest.mark.parametrize(
    ("cause", "becomes"),
    [
        (
            psycopg.errors.ReadOnlySqlTransaction("cannot execute INSERT in a read-only transaction"),
            OperationalError,
        ),
        (psycopg.errors.InFailedSqlTransaction("aborted"), InternalError),
    ],
)
def test_a_postgresql_that_only_reads_is_unavailable_for_writes(
    cause: Exception, becomes: type[Exception]
) -> None:
    connection = cast("BaseDatabaseWrapper", SimpleNamespace(vendor="postgresql", execute_wrappers=[]))
    for _ in range(2):
        # At each of its connects.
        tell_read_only(connection)
    [wrapper] = connection.execute_wrappers

    def execute(*_: object) -> None:
        raise InternalError(str(cause)) from cause

    with pytest.raises(becomes, match=str(cause)) as caught:
        wrapper(execute, "INSERT", (), False, {})
    assert type(caught.value) is becomes
    assert caught.value.__cause__ is cause


def test_connections_of_this_project_are_told_so() -> None:
    assert tell_read_only in [receiver() for (_, _), receiver, *_ in connection_created.receivers]


@pytest.mark.parametrize(
    ("failure", "code", "logged"),
    [
        (RequestError(ErrorCode.CONFLICT, "Taken."), ErrorCode.CONFLICT, ""),
        (EngineUnavailableError("away"), ErrorCode.TIMEOUT, ""),
        (OperationalError("connection refused"), ErrorCode.TIMEOUT, "connection refused"),
        (InterfaceError("connection already closed"), ErrorCode.TIMEOUT, "already closed"),
        (TimeoutError(), ErrorCode.TIMEOUT, "took too long"),
        (ZeroDivisionError("1 / 0"), ErrorCode.INTERNAL, "ZeroDivisionError"),
        (MultipleObjectsReturned("two"), ErrorCode.INTERNAL, "two"),
        (DisallowedHost("evil.example"), ErrorCode.INTERNAL, "evil.example"),
        (rest.APIException("broken"), ErrorCode.INTERNAL, "broken"),
        (PermissionDenied(), ErrorCode.PERMISSION_DENIED, ""),
        (Http404("No Order matches the given query."), ErrorCode.NOT_FOUND, ""),
        (User.DoesNotExist("User matching query does not exist."), ErrorCode.NOT_FOUND, ""),
        (ObjectDoesNotExist(), ErrorCode.NOT_FOUND, ""),
        (ValidationError("No."), ErrorCode.INVALID_MESSAGE, ""),
        (SuspiciousOperation("hm"), ErrorCode.INVALID_MESSAGE, ""),
        (RequestDataTooBig(), ErrorCode.INVALID_MESSAGE, ""),
        (BadRequest("no"), ErrorCode.INVALID_MESSAGE, ""),
        (rest.NotAuthenticated(), ErrorCode.UNAUTHENTICATED, ""),
        (rest.AuthenticationFailed(), ErrorCode.UNAUTHENTICATED, ""),
        (rest.PermissionDenied(), ErrorCode.PERMISSION_DENIED, ""),
        (rest.NotFound(), ErrorCode.NOT_FOUND, ""),
        (rest.ParseError(), ErrorCode.INVALID_MESSAGE, ""),
        (rest.MethodNotAllowed("GET"), ErrorCode.INVALID_MESSAGE, ""),
        (rest.Throttled(wait=2.5), ErrorCode.RATE_LIMITED, ""),
        (forbidden("permission_denied", "No."), ErrorCode.PERMISSION_DENIED, ""),
        (Refusal(409, "taken", "Taken."), ErrorCode.CONFLICT, ""),
        (Refusal(418, "teapot", "No."), ErrorCode.INVALID_MESSAGE, ""),
        (Refusal(500, "broken", "Broken."), ErrorCode.INTERNAL, "Broken"),
    ],
)
def test_failures(failure: Exception, code: ErrorCode, logged: str, caplog: pytest.LogCaptureFixture) -> None:
    error = request_error(failure, WHAT, CONNECTION, "order.ship")
    assert error.code == code
    assert logged in caplog.text
    assert bool(caplog.records) == bool(logged)
    assert any(record.exc_info for record in caplog.records) == (code == ErrorCode.INTERNAL)
    for record in caplog.records:
        assert record.getMessage().startswith(WHAT)
        assert "connection c1 (tenant acme, user 7)" in record.getMessage()
        about = {"connection_id": "c1", "tenant": "acme", "user": 7, "verb": "order.ship"}
        assert vars(record).items() >= about.items()
    # No internal detail is sent.
    assert "Order" not in str(error.payload())
    assert "matching query" not in str(error.payload())


def test_own_words_are_told() -> None:
    error = known_error(PermissionDenied("Only the owner may ship this."))
    assert error is not None
    assert error.message == "Only the owner may ship this."
    throttled = known_error(rest.Throttled(wait=2.5))
    assert throttled is not None
    # DRF rounds a wait up to whole seconds.
    assert throttled.payload()["retry_after_ms"] == 3000


class OrderForm(forms.Form):
    total = forms.DecimalField(min_value=1)
    note = forms.CharField(max_length=3)


class Line(serializers.Serializer[Any]):
    count = serializers.IntegerField()


class OrderSerializer(serializers.Serializer[Any]):
    total = serializers.IntegerField()
    lines = Line(many=True)


def form_error() -> Exception:
    form = OrderForm({"total": "0", "note": "too long"})
    assert not form.is_valid()
    return ValidationError({name: [str(text) for text in texts] for name, texts in form.errors.items()})


def serializer_error() -> Exception:
    with pytest.raises(rest.ValidationError) as caught:
        OrderSerializer(data={"total": "x", "lines": [{"count": 1}, {"count": "y"}]}).is_valid(
            raise_exception=True
        )
    return caught.value


@pytest.mark.parametrize(
    ("failure", "fields"),
    [
        (form_error(), ["payload.total", "payload.note"]),
        (serializer_error(), ["payload.total", "payload.lines[1].count"]),
        (ValidationError("All of it."), ["payload"]),
        (ValidationError({"__all__": ["All of it."]}), ["payload"]),
        (ValidationError([ValidationError("%(n)d of it.", params={"n": 2})]), ["payload"]),
        (rest.ValidationError(["All of it."]), ["payload"]),
        (rest.ValidationError({"non_field_errors": ["All of it."]}), ["payload"]),
        (rest.ValidationError({}), ["payload"]),
    ],
)
def test_validation_errors_name_each_field(failure: Exception, fields: list[str]) -> None:
    error = known_error(failure)
    assert error is not None
    details = error.payload()["details"]
    assert details["field"] == fields[0]
    assert sorted(details.get("fields") or fields) == sorted(fields)
    for messages in details["fields"].values():
        assert messages
        assert all(type(message) is str and "%(" not in message for message in messages)


@pytest.mark.parametrize(
    ("failure", "status"),
    [
        (PermissionDenied(), 403),
        (Http404(), 404),
        (User.DoesNotExist(), 404),
        (ValidationError("No."), 400),
        (RequestError(ErrorCode.UNAUTHENTICATED, "Sign in."), 401),
        (RequestError(ErrorCode.LIMIT_EXCEEDED, "Full."), 429),
        (rest.Throttled(wait=2), 429),
        (Refusal(402, "unpaid", "Pay."), 402),
        (ZeroDivisionError(), None),
    ],
)
def test_before_the_socket_is_open_they_are_refusals(failure: Exception, status: int | None) -> None:
    refusal = refusal_of(failure)
    assert (refusal and refusal.status) == status


@pytest.mark.parametrize(
    ("status", "close_code"),
    [
        (402, CloseCode.FORBIDDEN),
        (404, CloseCode.NOT_FOUND),
        (418, CloseCode.FORBIDDEN),
        (451, CloseCode.FORBIDDEN),
        (499, CloseCode.FORBIDDEN),
        (500, CloseCode.UNAVAILABLE),
        (503, CloseCode.UNAVAILABLE),
        (599, CloseCode.UNAVAILABLE),
    ],
)
def test_a_refusal_of_any_status_has_a_close_code(status: int, close_code: CloseCode) -> None:
    assert Refusal(status, "mine", "No.").close_code == close_code


@pytest.mark.parametrize("status", [0, 101, 200, 302, 600])
def test_a_refusal_has_a_status_that_refuses(status: int) -> None:
    with pytest.raises(ValueError, match="400 to 599"):
        Refusal(status, "mine", "No.")


@pytest.mark.parametrize(
    ("failure", "code", "status"),
    [
        (Refusal(402, "unpaid", "Пожалуйста, заплатите. " * 9), 4403, 402),
        (PermissionDenied("Closed."), 4403, 403),
        (ZeroDivisionError("the inside"), 4503, 500),
    ],
)
async def test_what_middleware_raises_is_told_and_a_reason_fits(
    failure: Exception, code: int, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    closed = await refused(failure, ["rockstar.v1"])
    assert [event["type"] for event in closed] == ["websocket.accept", "websocket.close"]
    assert closed[1]["code"] == code
    assert 0 < len(closed[1]["reason"].encode()) <= 123
    answered = await refused(failure, [])
    assert answered[0]["status"] == status
    assert b"the inside" not in answered[1]["body"]
    failed = isinstance(failure, ZeroDivisionError)
    assert caplog.text.count("A connection to no route failed") == (2 if failed else 0)
    assert ("(tenant acme, user nobody)" in caplog.text) == failed


async def refused(failure: Exception, subprotocols: list[str]) -> list[Any]:
    """Return what a client receives when a middleware raises."""

    async def middleware(scope: Any, receive: Any, send: Any) -> None:
        scope["tenant"] = ACME
        raise failure

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    async def send(event: Any) -> None:
        sent.append(event)

    sent: list[Any] = []
    node = SimpleNamespace(
        observer=SimpleNamespace(refused=lambda *_: None),
        handshakes=SimpleNamespace(failed=lambda *_: None),
        quota=SimpleNamespace(release=lambda *_: None),
    )
    scope = {
        "type": "websocket",
        "subprotocols": subprotocols,
        "headers": [],
        "client": ("127.0.0.1", 1),
        "extensions": {"websocket.http.response": {}},
    }
    await Refusals(middleware, cast("Any", node))(scope, receive, send)
    return sent
