"""What a project calls from code, on two nodes: sync and async, with one tenant and with several, in transactions."""

import contextlib
import uuid
from typing import Any

import pytest
from django.db import transaction
from pytest_django import Settings

import realtime
from accounts.models import User
from realtime import CredentialKind, Identity, RequestError, Tenant, TopicRule, members
from realtime.testing import Published, published, site, two_nodes

KEY = uuid.UUID(int=7)
ANN = Identity(str(KEY), "ann", "main", frozenset({"pubsub:publish"}), CredentialKind.SESSION)
ORDERS = {"topic": "orders:7"}


class TwoTenants:
    """A directory of several tenants."""

    def lookup(self, host: str) -> Tenant | None:
        return Tenant(1, "acme", hosts=frozenset({host}))

    def has_slug(self, slug: str) -> bool:
        return slug in {"acme", "globex"}

    def refresh(self) -> None:
        pass


@pytest.fixture(autouse=True)
def _rules(settings: Settings) -> None:
    settings.REALTIME = {
        "TOPIC_RULES": {
            "orders": TopicRule(),
            "prices": TopicRule(),
            "closed": TopicRule(operator="metadata"),
            "told": TopicRule(operator="publish"),
            "own": TopicRule(publish_in_db=_may_publish, subscribe_in_db=_may_publish),
            "members": TopicRule(publish=members, publish_in_db=lambda identity, topic: 1),  # type: ignore[arg-type,return-value]
        }
    }


def _may_publish(identity: Identity | None, topic: str) -> bool:
    key = topic.partition(":")[2]
    return identity is not None and User.objects.filter(pk=key, username=identity.username).exists()


@pytest.mark.django_db
async def test_every_function_needs_no_tenant_where_there_is_one() -> None:
    async with two_nodes() as (one, two), two.connect(user=ANN) as socket:
        assert await realtime.asubscribe("orders:7", user_id=KEY) == 1
        await realtime.apublish("orders:7", 1)
        assert await realtime.abroadcast(["orders:7", "closed:1"], 2) == [
            {"topic": "orders:7", "epoch": (await realtime.aposition("orders:7")).epoch, "offset": 2},
            {
                "topic": "closed:1",
                "error": {
                    "code": "permission_denied",
                    "message": "The rule of this topic keeps its data from operators.",
                    "retryable": False,
                },
            },
        ]
        assert (await realtime.abroadcast(["told:1"], 2))[0]["offset"] == 1
        for unread in (realtime.ahistory("told:1"), realtime.asubscribe("told:1", user_id=KEY)):
            with pytest.raises(RequestError, match="keeps its data"):
                await unread
        for data in (1, 2):
            await socket.assert_push("publication", {"data": data})
        assert [each["data"] for each in (await realtime.ahistory("orders:7"))["publications"]] == [1, 2]
        await one.advance(0.5)
        assert (await realtime.apresence("orders:7"))["count"] == 1
        assert [row["topic"] for row in (await realtime.alist_topics()).results] == ["orders:7"]
        assert (await realtime.aconnections(user=str(KEY))).count == 1
        assert await realtime.aannounce("Lunch") == 1
        await socket.assert_push("announcement", {"text": "Lunch"})
        assert await realtime.aunsubscribe("orders:7", user_id=KEY) == 1
        await socket.assert_push("unsubscribed")
        assert await realtime.adisconnect(user_id=KEY) == 1
        await socket.assert_closed(4409)


@pytest.mark.django_db
def test_the_same_in_a_synchronous_test() -> None:
    with two_nodes() as (one, two), two.connect(user=ANN) as socket:
        assert realtime.subscribe("orders:7", user_id=KEY) == 1
        realtime.publish("orders:7", 1)
        [answer] = realtime.broadcast(["orders:7"], 2)
        assert answer["offset"] == realtime.position("orders:7").offset == 2
        assert realtime.history("orders:7")["offset"] == 2
        one.advance(0.5)
        assert realtime.presence("orders:7")["count"] == 1
        assert realtime.connections(topic="orders:7").count == 1
        assert realtime.list_topics(q="orders").count == 1
        assert realtime.nodes().count == 2
        assert realtime.announce("Lunch") == 1
        assert realtime.unsubscribe("orders:7", user_id=KEY) == 1
        assert realtime.disconnect(user_id=KEY, reconnect=False, reason="closed") == 1
        assert socket.assert_closed(4409) == (4409, "stop: closed")


@pytest.mark.django_db
def test_what_acts_inside_a_transaction_does_so_after_the_commit() -> None:
    with two_nodes() as (_, two), two.connect(user=ANN) as socket:
        with contextlib.suppress(ZeroDivisionError), transaction.atomic():
            assert realtime.subscribe("orders:7", user_id=KEY) == 0
            assert realtime.broadcast(["orders:7"], "rolled back") == []
            raise ZeroDivisionError
        with transaction.atomic():
            realtime.subscribe("orders:7", user_id=KEY)
            realtime.broadcast(["orders:7"], "committed")
            socket.refute_push("publication")
        socket.assert_push("publication", {"data": "committed", "offset": 1})
        with transaction.atomic():
            assert realtime.unsubscribe("orders:7", user_id=KEY) == 0
            assert realtime.disconnect(user_id=KEY) == 0
            socket.refute_push("unsubscribed")
        socket.assert_push("unsubscribed")
        socket.assert_closed(4409)


CALLS: dict[str, Any] = {
    "broadcast": lambda: realtime.broadcast(["orders:7"], 1),
    "subscribe": lambda: realtime.subscribe("orders:7", user_id=7),
    "presence": lambda: realtime.presence("orders:7"),
    "history": lambda: realtime.history("orders:7"),
    "position": lambda: realtime.position("orders:7"),
    "connections": realtime.connections,
    "topics": realtime.list_topics,
    "disconnect": lambda: realtime.disconnect(user_id=7),
    "announce": lambda: realtime.announce("Lunch"),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())
def test_of_several_tenants_one_must_be_named(settings: Settings, call: Any) -> None:
    settings.REALTIME = settings.REALTIME | {"TENANTS": f"{__name__}.TwoTenants"}
    with site(), pytest.raises(RequestError, match="name one"):
        call()


@pytest.mark.django_db
def test_a_broadcast_is_recorded() -> None:
    with published() as publications:
        with transaction.atomic():
            assert realtime.broadcast(["orders:7", "prices:1"], {"n": 1}) == [
                {"topic": "orders:7"},
                {"topic": "prices:1"},
            ]
            assert publications == []
        [answer] = realtime.broadcast(["nowhere:1"], 1)
    assert publications == [Published("orders:7", {"n": 1}, tenant="main"), Published("prices:1", {"n": 1})]
    assert answer["error"]["code"] == "permission_denied"


async def test_an_asynchronous_broadcast_is_recorded() -> None:
    with published() as publications:
        [answer] = await realtime.abroadcast(["orders:7"], 1)
    assert publications == [Published("orders:7", 1)]
    assert answer["offset"] == 1


async def test_the_database_decides_who_may_publish(db: None) -> None:
    async with site() as opened, opened.connect(user=ANN) as ann, opened.connect() as stranger:
        own = await User.objects.acreate(username="ann")
        others = await User.objects.acreate(username="cat")
        for each in (own, others):
            asked = await ann.send("publish", {"topic": f"own:{each.pk}", "data": 1})
            expected = "published" if each is own else "error"
            await ann.assert_reply(asked, expected, {} if each is own else {"code": "permission_denied"})
        asked = await stranger.send("publish", {"topic": f"own:{own.pk}", "data": 1})
        await stranger.assert_reply(asked, "error", {"code": "permission_denied"})
        # Only True itself opens, and the gate without the database is asked first.
        asked = await ann.send("publish", {"topic": "members:1", "data": 1})
        await ann.assert_reply(asked, "error", {"code": "permission_denied"})
        asked = await stranger.send("publish", {"topic": "members:1", "data": 1})
        await stranger.assert_reply(asked, "error", {"code": "unauthenticated"})
        await realtime.apublish(f"own:{others.pk}", "the server always may")
        await ann.refute_push("publication")
