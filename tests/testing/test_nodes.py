"""Two nodes of a site in one process, and a bus between them that loses messages."""

import pytest
from pytest_django import Settings

from realtime import (
    CredentialKind,
    Identity,
    Refusal,
    TopicRule,
    aconnections,
    adisconnect,
    apresence,
    apublish,
    asubscribe,
    publish,
)
from realtime.testing import connect, lose_bus, site, two_nodes

RULES = {"TOPIC_RULES": {"orders": TopicRule()}}
ANN = Identity("ann", "ann", "main", frozenset(), CredentialKind.SESSION)
BEN = Identity("ben", "ben", "main", frozenset(), CredentialKind.SESSION)
ORDERS = {"topic": "orders:7"}


@pytest.fixture(autouse=True)
def _rules(settings: Settings) -> None:
    settings.REALTIME = RULES


async def test_a_publication_reaches_the_other_node() -> None:
    async with two_nodes() as (one, two), one.connect(user=ANN) as ann, two.connect(user=BEN) as ben:
        for socket in (ann, ben):
            await socket.request("subscribe", ORDERS)
        await two.publish("orders:7", "from two")
        await apublish("orders:7", "from one")
        for socket in (ann, ben):
            assert [(await socket.assert_push("publication"))["data"] for _ in range(2)] == [
                "from two",
                "from one",
            ]


async def test_what_the_bus_lost_comes_when_it_is_back() -> None:
    async with two_nodes() as (one, two), two.connect() as socket:
        await socket.request("subscribe", ORDERS)
        with lose_bus():
            await one.publish("orders:7", "lost")
            await socket.refute_push("publication")
        await socket.assert_push("publication", {"data": "lost", "offset": 1})
        await socket.refute_push("publication")


async def test_a_right_that_ended_meanwhile_is_found_too(settings: Settings) -> None:
    allowed = {"ann"}
    gate = TopicRule(
        subscribe_in_db=lambda identity, topic: identity is not None and identity.user_id in allowed
    )
    settings.REALTIME = {"TOPIC_RULES": {"orders": gate}}
    async with two_nodes() as (one, two), two.connect(user=ANN) as socket:
        await socket.request("subscribe", ORDERS)
        with lose_bus():
            allowed.clear()
            await one.node.end_subscriptions("main", "orders:7", "ann")
            await socket.refute_push("unsubscribed")
        await socket.assert_push("unsubscribed", {"code": "permission_denied"})


async def test_presence_is_of_both_nodes_and_ends_after_its_grace() -> None:
    async with two_nodes() as (one, two), one.connect(user=ANN) as ann:
        await ann.request("subscribe", ORDERS | {"presence": True})
        async with two.connect(user=BEN) as ben:
            await ben.request("subscribe", ORDERS)
            await one.advance(0.3)
            await ann.assert_push(
                "presence", {"joined": [{"id": "ben", "username": "ben", "connections": 1}]}
            )
            assert {each["id"] for each in (await apresence("orders:7", tenant="main"))["users"]} == {
                "ann",
                "ben",
            }
        await one.advance(9)
        await ann.refute_push("presence")
        await one.advance(2)
        await ann.assert_push("presence", {"left": [{"id": "ben", "username": "ben", "connections": 0}]})
        assert [each["id"] for each in (await apresence("orders:7", tenant="main"))["users"]] == ["ann"]


@pytest.mark.django_db
async def test_operations_reach_both_nodes() -> None:
    async with two_nodes() as (_, two), two.connect(user=BEN) as ben:
        assert await asubscribe("orders:7", tenant="main", user_id="ben") == 1
        assert (await aconnections(tenant="main", user="ben")).count == 1
        await apublish("orders:7", 1)
        await ben.assert_push("publication", {"data": 1})
        assert await adisconnect(tenant="main", user_id="ben", reason="enough") == 1
        assert await ben.assert_closed(4409) == (4409, "reconnect: enough")


async def test_the_store_outlives_a_node() -> None:
    async with two_nodes() as (one, two):
        first = await one.publish("orders:7", 1)
        await one.node.stop()
        second = await two.publish("orders:7", 2)
        assert (second.epoch, second.offset) == (first.epoch, 2)


async def test_without_two_nodes_there_is_no_bus_to_lose() -> None:
    with pytest.raises(RuntimeError, match="two_nodes"):
        lose_bus()
    async with site():
        with pytest.raises(RuntimeError, match="two_nodes"):
            lose_bus()


def test_it_works_in_a_synchronous_test() -> None:
    with two_nodes() as (one, two), two.connect() as socket:
        socket.request("subscribe", ORDERS)
        with lose_bus():
            one.publish("orders:7", "lost")
            socket.refute_push("publication")
        socket.assert_push("publication", {"data": "lost"})


@pytest.mark.django_db
def test_a_synchronous_test_publishes_as_a_view_does() -> None:
    with site() as own, connect() as socket:
        socket.request("subscribe", ORDERS)
        publish("orders:7", {"state": "shipped"})
        socket.assert_push("publication", {"data": {"state": "shipped"}})
        own.advance(60)
        socket.refute_push("publication")


@pytest.mark.django_db
def test_a_refusal_is_raised_in_a_synchronous_test_and_nothing_is_left() -> None:
    with pytest.raises(Refusal), connect("/ws/nowhere/"):
        pass
    with connect() as socket:
        socket.request("subscribe", ORDERS)


async def test_a_synchronous_opening_on_a_loop_is_refused() -> None:
    with pytest.raises(RuntimeError, match="async with"), site():
        pass
