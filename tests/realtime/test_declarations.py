"""Mistakes in what apps declare stop the start with a sentence that names the function and the mistake."""

import sys
from collections.abc import Awaitable, Callable
from typing import Annotated, Any

import msgspec
import pytest
from django.core.exceptions import ImproperlyConfigured

from realtime import (
    Call,
    EchoConsumer,
    Feed,
    JsonConsumer,
    NoPayload,
    RealtimeConsumer,
    Reply,
    RpcConsumer,
    Verb,
    live_query,
    rpc_method,
    stream_source,
    websocket,
)
from realtime.checks import check_declarations
from realtime.core.identity import Identity, Tenant
from realtime.endpoints.registry import RESERVED_METHODS, Registry

Declare = Callable[[], Any]


class Plain:
    """A payload that is no Struct."""


class Result(msgspec.Struct):
    """A payload that is one."""

    n: int = 1


def item(row: Any) -> dict[str, Any]:
    return {"id": row.pk}


async def item_async(row: Any) -> dict[str, Any]:
    return {"id": row.pk}


def no_call(*, a: int) -> dict[str, int]:
    return {"a": a}


def before_star(call: Call, a: int, *, b: int) -> dict[str, int]:
    return {"a": a + b}


def no_type(call: Call, *, a) -> dict[str, int]:  # type: ignore[no-untyped-def] # noqa: ANN001
    return {"a": a}


def all_of_it(call: Call, **rest: Any) -> dict[str, Any]:
    return rest


def custom(call: Call, *, a: Plain) -> dict[str, Any]:
    return {}


def forged(call: Call, *, identity: Identity) -> dict[str, Any]:
    return {}


def unknown_type(call: Call, *, a: "NotThere") -> dict[str, Any]:  # type: ignore[name-defined] # noqa: F821
    return {}


def yields(call: Call) -> Any:
    yield {}


def returns_int(call: Call) -> int:
    return 1


def returns_list(call: Call) -> list[int]:
    return []


def bad_default(call: Call, *, a: list[int] = [1]) -> dict[str, Any]:  # noqa: B006
    return {}


def anything(call: Call) -> Any:
    return {}


def fine(call: Call, *, a: int = 1) -> dict[str, Any]:
    return {"a": a}


async def fine_async(call: "Call", *, a: Annotated[int, msgspec.Meta(ge=1)] = 1) -> Result | None:
    return Result(a)


def at_hand(call: Call, *, a: int = 1) -> dict[str, Any] | None:
    return None


def other_at_hand(call: Call, *, b: int) -> dict[str, Any] | None:
    return None


async def at_hand_async(call: Call, *, a: int = 1) -> dict[str, Any] | None:
    return None


async def on_it(call: Call, payload: NoPayload) -> Reply:
    return Reply("it", {})


async def on_it_maybe(call: "Call[NotThere]", payload: NoPayload) -> Reply | None:  # type: ignore[name-defined] # noqa: F821
    return None


def on_it_later(call: Call, payload: NoPayload) -> Awaitable[Reply]:
    return on_it(call, payload)


def on_it_plain(call: Call, payload: NoPayload) -> Reply:
    return Reply("it", {})


async def on_it_alone(call: Call) -> Reply:
    return Reply("it", {})


async def on_it_dict(call: Call, payload: NoPayload) -> dict[str, Any]:
    return {}


def rows(tenant: Tenant, *, a: int) -> Any: ...


def own_rows(tenant: Tenant, identity: Identity, *, a: int) -> Any: ...


def three_rows(tenant: Tenant, identity: Identity, a: int) -> Any: ...


async def rows_async(tenant: Tenant) -> Any: ...


def chosen_tenant(tenant_: Tenant, *, tenant: str) -> Any: ...


def source(feed: Feed) -> Any:
    yield 1


def no_feed() -> Any:
    yield 1


class Silent(RealtimeConsumer):
    """Takes no messages."""


class PlainGreeting(EchoConsumer):
    """Greets without a coroutine."""

    def opened(self) -> None:  # type: ignore[override]
        pass


class NoVerb(JsonConsumer):
    """Has a verb that is a function."""

    verbs = {"it": on_it}  # type: ignore[dict-item]


class Hours:
    """A middleware."""

    def __init__(self, app: Any) -> None: ...

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None: ...


MISTAKES: dict[str, tuple[Declare, str]] = {
    "no call": (lambda: rpc_method("m")(no_call), "no_call: its first parameter must be `call`"),
    "before *": (
        lambda: rpc_method("m")(before_star),
        "before_star: the parameter `a` must stand after a `*`",
    ),
    "no type": (lambda: rpc_method("m")(no_type), "no_type: the parameter `a` needs a type"),
    "**": (lambda: rpc_method("m")(all_of_it), "all_of_it: it must name its parameters"),
    "custom": (lambda: rpc_method("m")(custom), "custom: the parameter `a` has the type Plain"),
    "forged": (lambda: rpc_method("m")(forged), "forged: the parameter `identity` comes from the server"),
    "unknown": (lambda: rpc_method("m")(unknown_type), "unknown_type: the type of the parameter `a`"),
    "yields": (lambda: rpc_method("m")(yields), "yields: it must return its result"),
    "int": (lambda: rpc_method("m")(returns_int), "returns_int: it returns int"),
    "list": (lambda: rpc_method("m")(returns_list), "returns_list: it returns list"),
    "default": (lambda: rpc_method("m")(bad_default), "bad_default: its parameters cannot be read"),
    "a class": (lambda: rpc_method("m")(Plain), "Plain: expected a function"),
    "no name": (lambda: rpc_method(fine), 'fine: a name is missing; write @rpc_method("…")'),  # type: ignore[arg-type]
    "long name": (lambda: rpc_method("m" * 65)(fine), "needs 1 to 64 characters"),
    "scopes": (lambda: rpc_method("m", scopes="a:b")(fine), "fine: scopes must be a set of names"),
    "at hand": (lambda: rpc_method("m", at_hand=other_at_hand)(fine), "other_at_hand: it must take the same"),
    "async at hand": (
        lambda: rpc_method("m", at_hand=at_hand_async)(fine),
        "at_hand_async: it must be a plain function",
    ),
    "plain verb": (lambda: Verb(NoPayload, on_it_plain), "on_it_plain: it must be a coroutine function"),  # type: ignore[arg-type]
    "verb alone": (
        lambda: Verb(NoPayload, on_it_alone),  # type: ignore[arg-type]
        "on_it_alone: its first parameters must be `call` and `payload`",
    ),
    "verb's dict": (lambda: Verb(NoPayload, on_it_dict), "on_it_dict: it returns dict"),  # type: ignore[arg-type]
    "no struct": (lambda: Verb(Plain, on_it), "on_it: the payload of its verb must be a msgspec.Struct"),  # type: ignore[arg-type]
    "verb scopes": (lambda: Verb(NoPayload, on_it, scopes="a:b"), "on_it: scopes must be"),  # type: ignore[arg-type]
    "async query": (
        lambda: live_query("q", item=item)(rows_async),  # type: ignore[arg-type]
        "rows_async: it must be a plain function",
    ),
    "async item": (lambda: live_query("q", item=item_async)(rows), "item_async: it must be a plain function"),
    "no tenant": (lambda: live_query("q", item=item)(no_feed), "no_feed: "),
    "three": (lambda: live_query("q", item=item)(three_rows), "three_rows: the parameter `a` must stand"),
    "tenant": (lambda: live_query("q", item=item)(chosen_tenant), "chosen_tenant: the parameter `tenant`"),
    "no feed": (lambda: stream_source("s")(no_feed), "no_feed: its first parameter must be `feed`"),  # type: ignore[arg-type]
    "a plain class": (lambda: websocket("ws/a/", Plain), "Plain: a route needs a class derived from"),
    "silent": (lambda: websocket("ws/a/", Silent), "Silent: it needs a method `receive`"),
    "plain greeting": (lambda: websocket("ws/a/", PlainGreeting), "opened: it must be a coroutine function"),
    "no verb": (lambda: websocket("ws/a/", NoVerb), "NoVerb: its verb 'it' must be a Verb"),
    "setting": (
        lambda: websocket("ws/a/", EchoConsumer, idle=1),
        "EchoConsumer: its constructor does not take",
    ),
    "route scopes": (lambda: websocket("ws/a/", EchoConsumer, scopes="a:b"), "scopes must be a set of names"),
    "middleware": (
        lambda: websocket("ws/a/", EchoConsumer, middleware=[Hours(None)]),  # type: ignore[list-item]
        "as a middleware of ws/a/ it must be a class",
    ),
    "reserved": (
        lambda: Registry([rpc_method("ping")(fine)], [], []),
        "fine: the name 'ping' is taken by a verb of every endpoint",
    ),
    "two methods": (
        lambda: Registry([rpc_method("m")(fine), rpc_method("m")(anything)], [], []),
        "anything: the name 'm' is taken by tests.realtime.test_declarations.fine.",
    ),
    "two queries": (
        lambda: Registry([], [], [live_query("q", item=item)(rows), live_query("q", item=item)(own_rows)]),
        "own_rows: the name 'q' is taken by tests.realtime.test_declarations.rows.",
    ),
    "no source": (lambda: stream_source(source), 'source: a name is missing; write @stream_source("…")'),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_named(name: str) -> None:
    declare, sentence = MISTAKES[name]
    with pytest.raises(ImproperlyConfigured) as caught:
        declare()
    assert sentence in str(caught.value)
    assert str(caught.value).endswith(".")


def test_no_method_may_replace_a_verb() -> None:
    assert set(RpcConsumer.verbs) == RESERVED_METHODS


def test_the_check_names_the_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    assert check_declarations() == []
    module = sys.modules["demo.realtime"]
    monkeypatch.setattr(module, "ping", rpc_method("ping")(fine), raising=False)
    [found] = check_declarations()
    assert (found.id, "the name 'ping' is taken" in found.msg) == ("realtime.E005", True)


def test_what_is_right_is_taken() -> None:
    websocket("ws/a/", EchoConsumer, middleware=[Hours], idle_timeout_s=1.0)
    assert not rpc_method("m", scopes={"a:b"}, at_hand=at_hand)(fine).is_async
    assert rpc_method("m")(fine_async).is_async
    rpc_method("m")(anything)
    for handle in (on_it, on_it_maybe, on_it_later):
        Verb(NoPayload, handle, scopes=("a:b",))
    assert not live_query("q", item=item)(rows).is_personal
    assert live_query("q", item=item)(own_rows).is_personal
    assert not live_query("q", item=item, shared=True)(own_rows).is_personal
    assert stream_source("s")(source).name == "s"
