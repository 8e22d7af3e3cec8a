"""Declared types are checked before anything is sent, in development and in tests, and the error names the declaration."""

from collections.abc import AsyncIterator, Iterator
from typing import Any, TypedDict

import msgspec
import pytest
from django.core.exceptions import ImproperlyConfigured
from pytest_django import Settings

from realtime import (
    CORE_VERBS,
    Call,
    Feed,
    JsonConsumer,
    NoPayload,
    PubSubConsumer,
    Reply,
    RequestError,
    RpcConsumer,
    StreamConsumer,
    TopicRule,
    Verb,
    publish,
    rpc_method,
    stream_source,
)
from realtime.core.contracts import ContractError
from realtime.endpoints.queries import LiveQuery
from realtime.node.node import install
from realtime.testing import connect, published, site
from tests.realtime.site import site_of


class Order(msgspec.Struct, frozen=True):
    id: int
    state: str = "open"


class Row(TypedDict):
    id: int


@rpc_method("wrong", reply="order")
async def wrong(call: Call) -> Order:
    return Order(id="7")  # type: ignore[arg-type] # the mistake that is found


@rpc_method("at.hand", reply="order", at_hand=lambda call: {"id": 7, "stat": "open"})
async def at_hand(call: Call) -> Order:
    raise AssertionError


@rpc_method("right", reply="order")
async def right(call: Call) -> Order | None:
    return Order(7)


@rpc_method("nothing")
async def nothing(call: Call) -> dict[str, Any]:
    return {"any": object.__name__}


@stream_source("prices")
def prices(feed: Feed) -> Iterator[float]:
    yield 1.5
    yield "2"  # type: ignore[misc] # the mistake that is found


@stream_source("rows")
async def rows(feed: Feed) -> AsyncIterator[Row]:
    yield {"id": 1}


async def greet(call: Call[Any], payload: NoPayload) -> Reply:
    call.push("greeted", {"name": 7})
    return Reply("greeting", {"text": "hello"})


async def mistyped(call: Call[Any], payload: NoPayload) -> Reply:
    return Reply("greetings", {"text": "hello"})


class Greeting(msgspec.Struct, frozen=True):
    text: int


class Greeted(msgspec.Struct, frozen=True):
    name: str


class Greeter(JsonConsumer):
    verbs = {
        **CORE_VERBS,
        "greet": Verb(NoPayload, greet, reply="greeting", returns=Greeting),
        "mistyped": Verb(NoPayload, mistyped, reply="greeting"),
        "slow": Verb(NoPayload, mistyped, reply="greeting", is_slow=True),
    }


class Pusher(Greeter):
    pushes = {"greeted": Greeted}


async def test_a_method_whose_result_does_not_fit_names_itself_and_the_field() -> None:
    async with site_of(methods=[wrong, at_hand, right, nothing], CHECK_CONTRACTS=True) as here:
        client = await here.connect(RpcConsumer)
        error = await client.error("wrong")
        assert error["code"] == "internal"
        assert error["message"] == (
            f"The reply of the method wrong ({__name__}.wrong) does not fit Order: "
            "Expected `int`, got `str` (at payload.id)."
        )
        assert error["details"]["field"] == "payload.id"
        assert "the field is not declared (at payload.stat)" in (await client.error("at.hand"))["message"]
        assert (await client.ask("right"))["payload"] == {"id": 7, "state": "open"}
        assert (await client.ask("nothing"))["type"] == "nothing.result"
        methods = (await client.ask("rpc.methods"))["payload"]["methods"]
        assert {each["name"]: bool(each["result"]) for each in methods} == {
            "at.hand": True,
            "nothing": False,
            "right": True,
            "wrong": True,
        }


async def test_in_production_nothing_is_checked() -> None:
    async with site_of(methods=[wrong]) as here:
        client = await here.connect(RpcConsumer)
        assert (await client.ask("wrong"))["payload"]["id"] == "7"


async def test_a_stream_whose_value_does_not_fit_ends_with_the_error() -> None:
    async with site_of(sources=[prices, rows], CHECK_CONTRACTS=True) as here:
        client = await here.connect(StreamConsumer, query_string="source=rows")
        assert (await client.assert_push("data"))["value"] == {"id": 1}
        await client.assert_push("stopped")
        await client.ask("start", {"source": "prices", "interval": 0.05})
        error = await client.assert_push("error")
        assert "A value of the stream prices" in error["message"]
        assert error["details"]["field"] == "value"


async def test_a_verb_is_held_to_the_type_and_the_payload_of_its_reply() -> None:
    async with site_of(CHECK_CONTRACTS=True) as here:
        client = await here.connect(Greeter)
        assert (
            "does not fit Greeting: Expected `int`, got `str` (at payload.text)"
            in (await client.error("greet"))["message"]
        )
        for verb in ("mistyped", "slow"):
            assert "another type of reply is declared" in (await client.error(verb))["message"]
        assert (await client.ask("ping"))["type"] == "pong"
        pusher = await here.connect(Pusher)
        assert "The push greeted does not fit Greeted" in (await pusher.error("greet"))["message"]


def test_items_of_a_query_are_checked() -> None:
    def item(row: Any) -> Row:
        return {"id": str(row)}  # type: ignore[typeddict-item] # the mistake that is found

    from realtime import live_query  # noqa: PLC0415

    @live_query("rows", item=item)
    def select(tenant: Any) -> Any:
        raise NotImplementedError

    assert isinstance(select, LiveQuery)
    assert select.item(1) == {"id": "1"}
    with pytest.raises(ContractError, match="An item of the query rows"):
        select.checked().item(1)


def test_a_type_that_json_cannot_hold_stops_the_start() -> None:
    class Own:
        pass

    with pytest.raises(ImproperlyConfigured, match="a type that JSON cannot hold"):

        @stream_source("own")
        def own(feed: Feed) -> Iterator[Own]:
            yield Own()


ORDERS = {"TOPIC_RULES": {"orders": TopicRule(data=Order), "news": TopicRule()}}


async def test_what_a_client_publishes_is_always_judged() -> None:
    async with site_of(TOPIC_RULES=ORDERS["TOPIC_RULES"]) as here:
        client = await here.connect(PubSubConsumer)
        error = await client.error("publish", {"topic": "orders:7", "data": {"id": "7"}})
        assert (error["code"], error["details"]) == ("invalid_message", {"field": "payload.data.id"})
        assert (await client.ask("publish", {"topic": "orders:7", "data": {"id": 7}}))["type"] == "published"
        assert (await client.ask("publish", {"topic": "news:7", "data": 7}))["type"] == "published"
        here.node.checks_contracts = True
        with pytest.raises(
            ContractError, match=r"The data published to 'orders:7' does not fit Order: .*data\.id"
        ):
            await here.node.announce("orders:7", {"id": "7"}, tenant="acme")


@pytest.fixture
def _own_node() -> Iterator[None]:
    install(None)
    yield
    install(None)


@pytest.mark.usefixtures("_own_node", "db")
def test_what_the_server_publishes_is_judged_in_tests(settings: Settings) -> None:
    settings.REALTIME = ORDERS
    with published() as publications:
        publish("orders:7", Order(7))
        with pytest.raises(RequestError, match="The data published to 'orders:7' does not fit Order"):
            publish("orders:7", {"id": 7, "stat": "open"})
    assert [each.data for each in publications] == [{"id": 7, "state": "open"}]


async def test_the_replies_of_this_package_fit_their_own_types(settings: Settings) -> None:
    settings.REALTIME = {"TOPIC_RULES": {"": TopicRule()}}
    async with site(), connect() as socket:
        first = await socket.request("publish", {"topic": "t", "data": 1})
        since = {"epoch": first["epoch"], "offset": 0}
        await socket.request("subscribe", {"topic": "t", "recover": since, "presence": True})
        await socket.request("subscribe", {"topics": [{"topic": "a"}, {"topic": "none:b"}]})
        for verb in ("history", "presence", "unsubscribe"):
            await socket.request(verb, {"topic": "t"})
    async with site(), connect("/ws/stream/") as socket:
        started = await socket.request("start", {"source": "server"})
        await socket.assert_push("data", {"source": "server"})
        await socket.request("stop", started)
    async with site(), connect("/ws/rpc/") as socket:
        await socket.request("rpc.methods")
