"""Ids of users are numbers or texts: a site whose users have UUIDs is served as any other."""

import json
import logging
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID

import msgspec
import pytest

from realtime.core.history import Publisher
from realtime.core.identity import as_user_id
from realtime.core.revocations import Revocation, RevocationKind, Revocations
from realtime.core.topics import TopicKey, owner
from realtime.node.control import EndSubscriptions
from realtime.node.logs import JsonLines
from realtime.node.observer import Observer
from realtime.node.operations import Operations, Unsubscribe, encode
from realtime.sockets.connection import Connection
from realtime.sockets.metrics import Metrics, RouteMetrics
from realtime.topics.engine.broker import Broker
from realtime.topics.engine.drafts import make_draft
from realtime.topics.engine.redis_history import RedisHistory
from tests.realtime.followers import ACME, Follower, Node, identity

ANN = UUID("6f1c9f4e-3f6b-4a6e-9a53-0c8d2f3b7a11")


class Number(int):
    """A key of the project's own type."""


@pytest.mark.parametrize(
    ("key", "user_id"), [(7, 7), ("7", "7"), (ANN, str(ANN)), (Number(7), 7), (b"\x01", "b'\\x01'")]
)
def test_any_primary_key_is_an_id(key: Any, user_id: object) -> None:
    given = replace(identity(), user_id=key)
    assert (given.user_id, type(given.user_id)) == (user_id, type(user_id))
    assert Publisher(key, "ann").id == user_id
    assert Revocation(RevocationKind.USER, key, "", 1, None, 0.0).user_id == user_id
    assert owner(given, f"user:{user_id}")


@pytest.mark.parametrize("key", [None, True])
def test_what_is_no_key_is_refused(key: object) -> None:
    with pytest.raises(TypeError, match="primary key"):
        as_user_id(key)


@pytest.mark.parametrize("user_id", [7, "7", str(ANN)])
def test_what_nodes_say_of_a_user_is_understood(user_id: int | str) -> None:
    ended = EndSubscriptions("acme", "news", user_id)
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(ended), type=EndSubscriptions) == ended
    revocation = Revocation(RevocationKind.USER, user_id, "", 1, None, 1e12)
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(revocation), type=Revocation) == revocation


def test_a_revocation_finds_its_user() -> None:
    revocations = Revocations()
    revocations.add(Revocation(RevocationKind.USER, cast("Any", ANN), "", 5, None, 1e12))
    assert revocations.ends(replace(identity(), user_id=str(ANN))) is not None
    assert revocations.ends(replace(identity(), user_id="somebody else")) is None


async def test_a_subscription_ends_for_its_user_alone() -> None:
    node = Node()
    ann = Follower(identity=replace(identity(), user_id=cast("Any", ANN)), id="ann")
    seven = Follower(identity=identity(7), id="seven")
    for each in (ann, seven):
        await node.join(each)
    node.hub.revoke(TopicKey("acme", "news"), str(ANN))
    assert not ann.subscriptions
    assert seven.subscriptions


@pytest.mark.parametrize(
    ("text", "user_ids"),
    [("7", ["7", 7]), ("\u0667", ["\u0667"]), ("0", ["0"]), ("", []), (str(ANN), [str(ANN)])],
)
async def test_an_operator_ends_the_grace_of_whom_the_text_may_mean(
    text: str, user_ids: list[object]
) -> None:
    removed: list[object] = []
    here = SimpleNamespace(
        credentials=SimpleNamespace(connections_named=lambda user_id: ()),
        presence=SimpleNamespace(removed=lambda tenant, topic, user_id: removed.append(user_id)),
    )
    operation = Unsubscribe(tenant="acme", topic="news", user_id=text)
    assert [part async for part in Operations(cast("Any", here)).perform(encode(operation))]
    assert removed == user_ids


@pytest.mark.parametrize("user_id", [7, 'a "quoted" id', str(ANN)])
def test_the_access_log_is_json(user_id: int | str, caplog: pytest.LogCaptureFixture) -> None:
    connection = SimpleNamespace(
        id="c1",
        tenant=ACME,
        identity=replace(identity(), user_id=user_id),
        route="/ws/",
        remote_addr="",
        metrics=RouteMetrics("acme", "/ws/"),
    )
    caplog.set_level(logging.INFO, "realtime.access")
    Observer(Metrics()).opened(cast("Connection", connection))
    [record] = caplog.records
    assert json.loads(JsonLines().format(record))["user"] == user_id


def test_keys_of_different_publishers_differ_in_redis() -> None:
    history = RedisHistory(Broker("redis://127.0.0.1:1"))
    publishers = [None, Publisher(7, "a"), Publisher("7", "b"), Publisher("7:k", "c"), Publisher("", "d")]
    drafts = [
        make_draft("news", 1, each, time="", idempotency_key=key)
        for each, key in zip(publishers, ["k", "k", "k", "", "k"], strict=True)
    ]
    names = {history._used_keys(TopicKey("acme", "news"), draft)[0] for draft in drafts}
    assert len(names) == len(publishers)
