"""An exception of a handler becomes the answer, for every kind of handler."""

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest
from django.core.exceptions import ObjectDoesNotExist, PermissionDenied, ValidationError
from django.http import Http404
from rest_framework.exceptions import NotAuthenticated

from realtime import (
    CORE_VERBS,
    Call,
    DataConsumer,
    JsonConsumer,
    NoPayload,
    PublishedLater,
    PubSubConsumer,
    RealtimeConsumer,
    Reply,
    RpcConsumer,
    TopicRule,
    Verb,
    forbidden,
    live_query,
    rpc_method,
)
from realtime.core.identity import Identity, Tenant
from realtime.endpoints.watches import WATCHED_MAX
from tests.realtime.followers import identity
from tests.realtime.site import site_of

RAISED: dict[str, tuple[Callable[[], Exception], str]] = {
    "denied": (lambda: PermissionDenied("Not yours."), "permission_denied"),
    "404": (Http404, "not_found"),
    "no_row": (ObjectDoesNotExist, "not_found"),
    "invalid": (lambda: ValidationError({"total": ["Too small."]}), "invalid_message"),
    "anonymous": (NotAuthenticated, "unauthenticated"),
    "refused": (lambda: forbidden("permission_denied", "No."), "permission_denied"),
    "bug": (lambda: ZeroDivisionError("the inside"), "internal"),
}


def fail(how: str) -> Any:
    make, _ = RAISED[how]
    raise make()


@rpc_method("plain")
def plain(call: Call, *, how: str) -> dict[str, Any]:
    return cast("dict[str, Any]", fail(how))


@rpc_method("on_loop")
async def on_loop(call: Call, *, how: str) -> dict[str, Any]:
    return cast("dict[str, Any]", fail(how))


def failing_at_hand(call: Call, *, how: str) -> dict[str, Any] | None:
    return cast("dict[str, Any]", fail(how))


@rpc_method("at_hand", at_hand=failing_at_hand)
def at_hand(call: Call, *, how: str) -> dict[str, Any]:
    return {}


@rpc_method("nothing")
async def nothing(call: Call) -> None:
    return None


@rpc_method("list")
async def a_list(call: Call) -> Any:
    return [1]


class Rows(list[Any]):
    """A queryset of made-up rows."""

    db = "default"

    def order_by(self, *_: str) -> "Rows":
        return self


def item(row: Any) -> dict[str, Any]:
    return {"id": row.pk, "of": row.of, "odd": object() if row.of == "odd" else None}


def rows_of(*owners: object) -> Any:
    return Rows(SimpleNamespace(pk=pk, of=of) for pk, of in enumerate(owners, 1))


@live_query("failing", item=item)
def failing(tenant: Tenant, *, how: str) -> Any:
    return fail(how)


@live_query("mine", item=item, signed_in=True)
def mine(tenant: Tenant, who: Identity, *, state: str = "open") -> Any:
    return rows_of(who.user_id, state)


@live_query("whose", item=item)
def whose(tenant: Tenant, who: Identity | None) -> Any:
    return rows_of(who and who.user_id)


@live_query("odd", item=item)
def odd(tenant: Tenant) -> Any:
    return rows_of("odd")


@live_query("no_rows", item=item)
def no_rows(tenant: Tenant) -> Any:
    return None


async def on_quick(call: Call, payload: NoPayload) -> Reply:
    return cast("Reply", fail(call.request.payload["how"]))


class Verbs(JsonConsumer):
    """Both kinds of verbs."""

    verbs = {
        **CORE_VERBS,
        "quick": Verb(NoPayload, on_quick),
        "slow": Verb(NoPayload, on_quick, is_slow=True),
    }


def gate(who: Identity | None, topic: str) -> bool:
    return cast("bool", fail(topic.partition(":")[2]))


async def test_what_a_handler_raises_is_the_answer(
    caplog: pytest.LogCaptureFixture, subtests: pytest.Subtests
) -> None:
    rules = {"at_hand": TopicRule(subscribe=gate, publish=gate), "in_db": TopicRule(subscribe_in_db=gate)}
    declared: dict[str, Any] = {"methods": [plain, on_loop, at_hand], "queries": [failing]}
    async with site_of(**declared, TOPIC_RULES=rules) as site:
        who = identity(7)
        caller, verbs = await site.connect(RpcConsumer, who), await site.connect(Verbs, who)
        data, topics = await site.connect(DataConsumer, who), await site.connect(PubSubConsumer, who)
        for how, (_, code) in RAISED.items():
            query = {"query": "failing", "params": {"how": how}}
            asked = [
                *((caller, name, {"how": how}) for name in ("plain", "on_loop", "at_hand")),
                *((verbs, name, {"how": how}) for name in ("quick", "slow")),
                (data, "query", query),
                (data, "query", {**query, "watch": True}),
                *(
                    (topics, verb, {"topic": f"at_hand:{how}", "data": 1})
                    for verb in ("subscribe", "publish")
                ),
                *((topics, verb, {"topic": f"in_db:{how}"}) for verb in ("subscribe", "history", "presence")),
            ]
            for client, verb, payload in asked:
                with subtests.test(how=how, verb=verb, payload=payload):
                    caplog.clear()
                    error = await client.error(verb, payload)
                    assert error["code"] == code
                    assert "the inside" not in str(error)
                    # The node's own tasks log too: there is no database here.
                    handlers = [each for each in caplog.records if each.name == "realtime.node.failures"]
                    errors = [each for each in handlers if each.levelname == "ERROR"]
                    assert len(errors) == (how == "bug")
                    for record in errors:
                        assert "(tenant acme, user 7)" in record.getMessage()
                    if how == "invalid":
                        assert error["details"] == {
                            "field": "payload.total",
                            "fields": {"payload.total": ["Too small."]},
                        }
        assert not site.endpoints.watches._watchers


async def test_a_method_answers_with_an_object(caplog: pytest.LogCaptureFixture) -> None:
    async with site_of(methods=[nothing, a_list]) as site:
        client = await site.connect(RpcConsumer)
        assert (await client.ask("nothing"))["payload"] == {}
        assert (await client.error("list"))["code"] == "internal"
        assert "Expected a dict, received list" in caplog.text


async def test_unknown_parameters_are_named(subtests: pytest.Subtests) -> None:
    async with site_of(methods=[on_loop, nothing], queries=[mine]) as site:
        caller, data = await site.connect(RpcConsumer), await site.connect(DataConsumer, identity(7))
        asked = [
            (caller, "on_loop", {"how": "bug", "why": 1}, "payload.why"),
            (caller, "nothing", {"n": None}, "payload.n"),
            (data, "query", {"query": "mine", "params": {"sate": "open"}}, "payload.params.sate"),
            (data, "query", {"query": "mine", "params": {"identity": {}}}, "payload.params.identity"),
        ]
        for client, verb, payload, field in asked:
            with subtests.test(field=field):
                error = await client.error(verb, payload)
                assert (error["code"], error["details"]["field"]) == ("invalid_message", field)
                assert field.rpartition(".")[2] in error["message"]
        # Fields beside a payload's own are ignored.
        await data.send_text('{"id": 1, "type": "ping", "payload": {"more": 1}, "other": 2}')
        while (reply := await data.receive()).get("id") != 1:
            pass
        assert reply["type"] == "pong"


async def test_a_query_knows_who_asks() -> None:
    async with site_of(queries=[mine, whose]) as site:
        for who in (identity(7), identity(8)):
            client = await site.connect(DataConsumer, who)
            for watch in (False, True):
                reply = await client.ask("query", {"query": "mine", "params": {}, "watch": watch})
                assert [each["of"] for each in reply["payload"]["items"]] == [who.user_id, "open"]
        nobody = await site.connect(DataConsumer)
        assert (await nobody.error("query", {"query": "mine"}))["code"] == "unauthenticated"
        assert (await nobody.ask("query", {"query": "whose"}))["payload"]["items"][0]["of"] is None


async def test_a_query_that_cannot_be_answered_keeps_no_place(caplog: pytest.LogCaptureFixture) -> None:
    async with site_of(queries=[odd, no_rows, whose]) as site:
        client = await site.connect(DataConsumer)
        for name in ["odd", "no_rows"] * WATCHED_MAX:
            assert (await client.error("query", {"query": name, "watch": True}))["code"] == "internal"
        assert (await client.ask("query", {"query": "whose", "watch": True}))["type"] == "rows"


async def hang(call: Call, payload: NoPayload) -> Reply:
    await asyncio.Event().wait()
    return Reply("never", {})


async def publish(call: Call, payload: NoPayload) -> None:
    await asyncio.sleep(0.01)
    await call.consumer.publish_later(call, PublishedLater("lobby", 0, published))


async def published() -> Reply:
    return Reply("published", {})


class Hanging(JsonConsumer):
    """Has a verb in the order of arrival that never ends."""

    verbs = {**CORE_VERBS, "hang": Verb(NoPayload, hang), "publish": Verb(NoPayload, publish, is_slow=True)}


async def test_what_hangs_holds_up_the_messages_behind_it_for_so_long_only() -> None:
    """Among them may be the `refresh` that the connection needs."""
    async with site_of(CALL_TIMEOUT_S=0.05) as site:
        client = await site.connect(Hanging)
        ids = [
            await client.send(verb, request_id=f"{at}") for at, verb in enumerate(("hang", "hang", "ping"))
        ]
        for request_id in ids[:2]:
            await client.assert_reply(request_id, "error", {"code": "timeout", "retryable": True})
        await client.assert_reply(ids[2], "pong")


async def test_a_publication_of_a_call_lifts_no_other_requests_time() -> None:
    async with site_of(CALL_TIMEOUT_S=0.05) as site:
        client = await site.connect(Hanging)
        ids = [await client.send(verb, request_id=verb) for verb in ("publish", "hang")]
        await client.assert_reply(ids[0], "published")
        await client.assert_reply(ids[1], "error", {"code": "timeout"})


class Closed(JsonConsumer):
    """Refuses in its greeting."""

    how = ""

    async def welcomed(self) -> None:
        fail(self.how)


class RawClosed(RealtimeConsumer):
    """Refuses in its greeting, without an envelope."""

    how = ""

    async def opened(self) -> None:
        fail(self.how)

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None: ...


@pytest.mark.parametrize(
    ("how", "code"), [("denied", 4403), ("404", 4404), ("anonymous", 4401), ("invalid", 4400), ("bug", 1011)]
)
async def test_a_greeting_that_raises_closes_with_the_code(
    how: str, code: int, caplog: pytest.LogCaptureFixture
) -> None:
    async with site_of() as site:
        for consumer in (Closed, RawClosed):
            caplog.clear()
            client = await site.connect(type("Made", (consumer,), {"how": how}))
            got, reason = await client.assert_closed()
            assert got == code
            assert reason
            assert "the inside" not in reason
            assert ("The greeting failed on connection" in caplog.text) == (how == "bug")
