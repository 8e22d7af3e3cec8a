"""The client over real sockets to a server that the test plays."""

import asyncio
import subprocess
import sys
from contextlib import aclosing
from typing import Any

import msgspec
import pytest

from realtime.client import (
    AsyncClient,
    ClientError,
    DisconnectedError,
    HistoryLostError,
    Position,
    Presence,
    PresentUser,
    SignedOutError,
    TokenReason,
)
from realtime.client.subscription import Subscription
from realtime.client.types import StateName
from tests.client.scripted import Scripted, Socket


async def taken(subscription: Subscription, count: int) -> list[int]:
    async with asyncio.timeout(5):
        return [(await anext(subscription)).data for _ in range(count)]


@pytest.mark.parametrize(
    "url", ["http://shop.example/ws/pubsub/", "shop.example/ws/pubsub/", "/ws/pubsub/", "wss://"]
)
def test_a_url_of_no_endpoint_is_refused_at_once(url: str) -> None:
    with pytest.raises(ValueError, match="Expected the URL of an endpoint, as wss"):
        AsyncClient(url)


async def test_it_says_who_it_is_and_waits_for_the_welcome(server: Scripted) -> None:
    async with AsyncClient(server.url, token="t0ken", headers={"X-Own": "1"}, proxy=None) as client:
        states: list[StateName] = []
        client.on("state", lambda state: states.append(state.name))
        socket = await server.socket(is_welcomed=False)
        assert socket.headers["Authorization"] == "Bearer t0ken"
        assert socket.headers["X-Own"] == "1"
        assert client.state.name is StateName.CONNECTING
        await socket.welcome()
        await client.ready()
    assert states == ["connecting", "online", "stopped"]
    with pytest.raises(DisconnectedError):
        await client.request("a")


async def test_requests_are_answered_by_id_and_errors_keep_what_the_server_said(
    server: Scripted, client: AsyncClient
) -> None:
    first = asyncio.ensure_future(client.request("a", {"n": 1}))
    second = asyncio.ensure_future(client.request("b"))
    socket = await server.socket()
    asked = await socket.request("a")
    await socket.refuse(
        "b", "rate_limited", retryable=True, retry_after_ms=250, details={"field": "payload.x"}
    )
    await socket.push({"id": asked["id"], "type": "a.done", "payload": {"n": 2}})
    assert await first == {"n": 2}
    with pytest.raises(ClientError) as refused:
        await second
    error = refused.value
    assert (error.code, error.retryable, error.retry_after_s) == ("rate_limited", True, 0.25)
    assert error.details == {"field": "payload.x"}


async def test_a_request_that_is_lost_or_late_says_so(server: Scripted, client: AsyncClient) -> None:
    lost = asyncio.ensure_future(client.request("a"))
    socket = await server.socket()
    await socket.request("a")
    await socket.end(1012)
    with pytest.raises(DisconnectedError) as raised:
        await lost
    assert raised.value.retryable
    again = await server.socket()
    with pytest.raises(ClientError) as late:
        await client.request("late", timeout_s=0.01)
    assert late.value.code == "timeout"
    await again.request("late")
    assert (await again.request("cancel"))["payload"] == {"id": "2"}


async def test_a_request_that_found_no_connection_says_so() -> None:
    """A wrong URL is no slow server."""
    async with AsyncClient("ws://127.0.0.1:1/ws/", proxy=None) as client:
        with pytest.raises(ClientError, match="no connection") as raised:
            await client.request("a", timeout_s=0.01)
    assert (raised.value.code, raised.value.retryable) == ("timeout", True)


async def test_requests_wait_for_the_connection_after_the_subscriptions_and_are_bounded(
    server: Scripted,
) -> None:
    async with AsyncClient(server.url, queue_max=2, proxy=None) as client:
        client.subscribe("t")
        waiting = [asyncio.ensure_future(client.request(each)) for each in ("a", "b")]
        await asyncio.sleep(0)
        with pytest.raises(DisconnectedError):
            await client.request("c")
        socket = await server.socket()
        await socket.subscribed(0)
        for each in ("a", "b"):
            await socket.answer(each, "done", {})
        assert await asyncio.gather(*waiting) == [{}, {}]


async def test_a_paged_reply_is_joined_or_iterated_over(server: Scripted, client: AsyncClient) -> None:
    async def answer(socket: Socket, *pages: tuple[list[int], bool]) -> None:
        asked = await socket.request("query")
        for items, more in pages:
            payload = {"query_id": "q", "items": items, "more": more}
            await socket.push({"id": asked["id"], "type": "rows", "payload": payload})

    whole = asyncio.ensure_future(client.request("query", {"query": "items"}))
    socket = await server.socket()
    await answer(socket, ([1, 2], True), ([3], False))
    assert (await whole)["items"] == [1, 2, 3]
    async with aclosing(client.pages("query")) as pages:
        first = asyncio.ensure_future(anext(pages))
        await answer(socket, ([1], True))
        assert (await first)["items"] == [1]
    assert (await socket.request("cancel"))["payload"] == {"id": "2"}


async def test_what_was_missed_comes_after_a_reconnect_once_and_in_order(
    server: Scripted, client: AsyncClient
) -> None:
    subscription = client.subscribe("t")
    socket = await server.socket()
    assert await socket.subscribed(3) == {"topic": "t"}
    await socket.publish(4, 5)
    assert await taken(subscription, 2) == [4, 5]
    assert subscription.position == Position("e", 5)
    await socket.end(1001)
    again = await server.socket()
    await again.publish(8)
    assert await again.subscribed(8, missed=(6, 7, 8)) == {
        "topic": "t",
        "recover": {"epoch": "e", "offset": 5},
    }
    await again.publish(8, 9)
    assert await taken(subscription, 4) == [6, 7, 8, 9]
    await again.publish(12)
    await again.subscribed(12, missed=(10, 11, 12))
    assert await taken(subscription, 3) == [10, 11, 12]


async def test_with_the_position_of_earlier_data_nothing_is_missed_at_first(
    server: Scripted, client: AsyncClient
) -> None:
    subscription = client.subscribe("t", since=Position("e", 3))
    socket = await server.socket()
    assert (await socket.subscribed(5, missed=(4, 5)))["recover"] == {"epoch": "e", "offset": 3}
    assert await taken(subscription, 2) == [4, 5]


async def test_a_loss_is_raised_and_the_subscription_goes_on(server: Scripted, client: AsyncClient) -> None:
    subscription = client.subscribe("t", since=Position("old", 3))
    socket = await server.socket()
    await socket.subscribed(7)
    await socket.publish(8)
    with pytest.raises(HistoryLostError, match="'t'"):
        await taken(subscription, 1)
    assert await taken(subscription, 1) == [8]


async def test_several_subscriptions_of_a_topic_share_one_of_the_server(
    server: Scripted, client: AsyncClient
) -> None:
    first = client.subscribe("t")
    socket = await server.socket()
    await socket.subscribed(3)
    second = client.subscribe("t", since=Position("e", 1))
    assert (await socket.subscribed(4, missed=(2, 3, 4)))["recover"] == {"epoch": "e", "offset": 1}
    assert (await taken(first, 1), await taken(second, 3)) == ([4], [2, 3, 4])
    too_old = client.subscribe("t", since=Position("e", 0))
    await socket.subscribed(4)
    assert (await socket.subscribed(5, missed=(5,)))["recover"] == {"epoch": "e", "offset": 4}
    assert (await taken(first, 1), await taken(second, 1)) == ([5], [5])
    with pytest.raises(HistoryLostError):
        await taken(too_old, 1)
    assert await taken(too_old, 1) == [5]
    for each in (first, second):
        each.close()
    await socket.publish(6)
    assert await taken(too_old, 1) == [6]
    too_old.close()
    assert (await socket.request("unsubscribe"))["payload"] == {"topic": "t"}
    assert [each async for each in too_old] == []


async def test_a_reader_that_falls_behind_keeps_a_bounded_buffer_and_misses_nothing(
    server: Scripted, client: AsyncClient
) -> None:
    subscription = client.subscribe("t", buffer_max=4)
    socket = await server.socket()
    await socket.subscribed(0)
    await socket.publish(*range(1, 11))
    assert await taken(subscription, 2) == [1, 2]
    assert (await socket.subscribed(10, missed=tuple(range(5, 11))))["recover"] == {"epoch": "e", "offset": 4}
    await client_has_read(client, socket)
    assert await taken(subscription, 2) == [3, 4]
    await socket.subscribed(10, missed=(7, 8, 9, 10))
    assert await taken(subscription, 4) == [5, 6, 7, 8]


async def test_after_a_reconnect_topics_share_requests_and_refusals_are_judged_one_by_one(
    server: Scripted, client: AsyncClient, waits: list[Any]
) -> None:
    subscriptions = {name: client.subscribe(name) for name in [f"t{n}" for n in range(120)]}
    socket = await server.socket()
    request = await socket.request("subscribe")
    names = [each["topic"] for each in request["payload"]["topics"]]
    assert names == [f"t{n}" for n in range(100)]
    error = {"code": "permission_denied", "message": "No.", "retryable": False}
    later = {"code": "limit_exceeded", "message": "", "retryable": True, "retry_after_ms": 0}
    answers: list[Any] = [
        {"topic": name, "epoch": "e", "offset": 0, "recovered": None, "publications": []}
        for name in names[2:]
    ]
    answers += [{"topic": "t0", "error": error}, {"topic": "t1", "error": later}]
    await socket.push({"id": request["id"], "type": "subscribed", "payload": {"topics": answers}})
    with pytest.raises(ClientError) as refused:
        await taken(subscriptions["t0"], 1)
    assert refused.value.code == "permission_denied"
    rest = await socket.request("subscribe")
    assert len(rest["payload"]["topics"]) == 20
    await socket.push({"id": rest["id"], "type": "error", "payload": {**error, "code": "invalid_message"}})
    alone = [await socket.subscribed(0) for _ in range(21)]
    assert {each["topic"] for each in alone} == {"t1", *(f"t{n}" for n in range(100, 120))}


async def test_the_server_ends_a_subscription(server: Scripted, client: AsyncClient) -> None:
    subscription = client.subscribe("t")
    socket = await server.socket()
    await socket.subscribed(3)
    await socket.push({"type": "unsubscribed", "payload": {"topic": "t", "code": "unrecoverable_position"}})
    await socket.subscribed(9)
    with pytest.raises(HistoryLostError):
        await taken(subscription, 1)
    await socket.push(
        {"type": "unsubscribed", "payload": {"topic": "t", "code": "permission_denied", "reason": "gone"}}
    )
    with pytest.raises(ClientError, match="gone"):
        await taken(subscription, 1)
    assert [each async for each in subscription] == []


async def test_presence_is_told_at_first_and_after_each_change(server: Scripted, client: AsyncClient) -> None:
    told: list[Presence] = []
    client.subscribe("t", on_presence=told.append)
    socket = await server.socket()
    request = await socket.request("subscribe")
    assert request["payload"]["presence"] is True
    ann = {"id": 1, "username": "ann", "connections": 1}
    presence = {"users": [ann], "count": 1}
    payload = {
        "topic": "t",
        "epoch": "e",
        "offset": 0,
        "recovered": None,
        "publications": [],
        "presence": presence,
    }
    await socket.push({"id": request["id"], "type": "subscribed", "payload": payload})
    bob = {"id": "b", "username": "bob", "connections": 2}
    await socket.push(
        {
            "type": "presence",
            "payload": {"topic": "t", "joined": [bob], "left": [{"id": 1, "username": "ann"}]},
        },
        {"type": "presence", "payload": {"topic": "t", "count": 250}},
    )
    await client_has_read(client, socket)
    assert told == [
        Presence([PresentUser(1, "ann", 1)], 1),
        Presence([PresentUser("b", "bob", 2)], 1),
        Presence([], 250),
    ]


async def client_has_read(client: AsyncClient, socket: Socket) -> None:
    asked = asyncio.ensure_future(client.request("ping"))
    await socket.answer("ping", "pong", {})
    await asked


async def test_a_token_is_kept_refreshed_in_place_and_replaced_when_it_is_refused(server: Scripted) -> None:
    reasons: list[TokenReason] = []
    given = ["one", "two", "three", "four"]

    async def get_token(reason: TokenReason) -> str:
        reasons.append(reason)
        return given.pop(0)

    async with AsyncClient(server.url, get_token=get_token, proxy=None) as client:
        socket = await server.socket()
        await socket.push({"type": "expiring", "payload": {"expires_at": ""}})
        assert await socket.answer("refresh", "refreshed", {}) == {"token": "two"}
        await client_has_read(client, socket)
        await socket.end(1012)
        again = await server.socket()
        assert again.headers["Authorization"] == "Bearer two"
        await again.end(4401, "expired")
        third = await server.socket(is_welcomed=False)
        assert third.headers["Authorization"] == "Bearer three"
        await third.end(4401, "revoked")
        with pytest.raises(SignedOutError, match="revoked"):
            await client.ready()
    assert reasons == ["connect", "expiring", "refused"]


async def test_every_connection_has_a_ticket_of_its_own(server: Scripted) -> None:
    tickets = iter(["a/1", "b 2", None])
    async with AsyncClient(server.url, get_ticket=lambda: next(tickets), proxy=None) as client:
        socket = await server.socket()
        assert socket.path == "/ws/?ticket=a%2F1"
        await socket.end(1001)
        again = await server.socket()
        assert again.path == "/ws/?ticket=b%202"
        await again.end(1001)
        with pytest.raises(SignedOutError):
            await asyncio.wait_for(client.ready(), 5)


async def test_a_credential_that_cannot_be_had_now_is_asked_for_again(server: Scripted) -> None:
    fails = iter([True, False])

    def get_token(_: TokenReason) -> str:
        if next(fails):
            raise OSError("no network")
        return "late"

    async with AsyncClient(server.url, get_token=get_token, proxy=None):
        socket = await server.socket()
        assert socket.headers["Authorization"] == "Bearer late"


@pytest.mark.parametrize("code", [4403, 4404, 4400, 1000])
async def test_where_coming_back_is_pointless_it_stops_and_ends_everything(
    server: Scripted, client: AsyncClient, code: int
) -> None:
    subscription = client.subscribe("t")
    socket = await server.socket()
    await socket.subscribed(0)
    asked = asyncio.ensure_future(client.request("a"))
    await socket.request("a")
    await socket.end(code, "not here")
    for waiting in (asked, taken(subscription, 1), client.ready(), client.request("b")):
        with pytest.raises(DisconnectedError):
            await asyncio.wait_for(waiting, 5)
    assert (client.state.name, client.state.code, server.seen) == (StateName.STOPPED, code, 1)


async def test_refusals_by_http_are_understood(server: Scripted, client: AsyncClient) -> None:
    server.refuses_with = 503
    await server.seen_twice.wait()
    server.refuses_with = 401
    with pytest.raises(SignedOutError, match="HTTP 401"):
        await asyncio.wait_for(client.ready(), 5)


async def test_an_option_that_nobody_takes_stops_it(server: Scripted) -> None:
    async with AsyncClient(server.url, proxy=None, nonsense=1) as client:
        with pytest.raises(DisconnectedError, match=r"TypeError.*'nonsense'"):
            await client.ready()


async def test_publish_history_and_presence(server: Scripted, client: AsyncClient) -> None:
    published = asyncio.ensure_future(client.publish("t", [1], idempotency_key="k"))
    socket = await server.socket()
    asked = await socket.answer("publish", "published", {"topic": "t", "epoch": "e", "offset": 7})
    assert asked == {"topic": "t", "data": [1], "idempotency_key": "k"}
    assert await published == Position("e", 7)
    read = asyncio.ensure_future(client.history("t", since=Position("e", 3), limit=2))
    publication = {
        "topic": "t",
        "offset": 4,
        "data": 1,
        "publisher": {"id": 1, "username": "ann"},
        "time": "now",
    }
    page = {"topic": "t", "epoch": "e", "offset": 4, "publications": [publication]}
    asked = await socket.answer("history", "history", page)
    assert asked == {"topic": "t", "limit": 2, "since": {"epoch": "e", "offset": 3}}
    history = await read
    assert history.position == Position("e", 4)
    assert history.publications[0].publisher is not None
    there = asyncio.ensure_future(client.presence("t"))
    await socket.answer("presence", "presence", {"topic": "t", "users": [], "count": 3})
    assert await there == Presence([], 3)


async def test_a_listener_that_fails_does_not_end_the_client(
    server: Scripted, client: AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[Any] = []

    def fail(payload: Any) -> None:
        raise RuntimeError

    client.on("news", fail)
    remove = client.on("news", heard.append)
    socket = await server.socket()
    await socket.push({"type": "news", "payload": {"n": 1}})
    await client_has_read(client, socket)
    remove()
    await socket.push({"type": "news", "payload": {"n": 2}})
    await client_has_read(client, socket)
    assert heard == [{"n": 1}]
    assert "A listener of 'news' failed" in caplog.text


def test_it_needs_no_django_settings() -> None:
    code = "import realtime.client, sys; sys.exit('django.conf' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, env={})


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
async def test_a_number_that_json_has_no_form_for_is_an_error_and_not_null(
    server: Scripted, client: AsyncClient, value: float
) -> None:
    for data in (value, {"prices": [1.5, None, value]}):
        with pytest.raises(ValueError, match="not JSON compliant"):
            await client.request("publish", {"topic": "t", "data": data})
    sent = [None, msgspec.Raw(b"null"), 1.5]
    asked = asyncio.ensure_future(client.request("publish", {"data": sent}))
    socket = await server.socket()
    # The first that comes: the others were not sent.
    assert await socket.answer("publish", "published", {}) == {"data": [None, None, 1.5]}
    await asked
