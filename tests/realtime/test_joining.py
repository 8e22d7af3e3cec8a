"""Every await of a subscribe, crossed by everything that may happen meanwhile."""

import asyncio

import pytest
from django.core.exceptions import PermissionDenied
from django.http import Http404

from realtime.core.identity import Identity
from realtime.core.position import Position
from realtime.core.topics import TopicRule, TopicRules
from realtime.node.joining import CATCH_UP_MAX_BYTES, PRESENCE_MAX_BYTES, Joined, Joiner, JoinRequest
from realtime.protocol.close_codes import CloseCode
from realtime.protocol.errors import ErrorCode, RequestError
from realtime.sockets.subscription import SubscriptionState
from tests.realtime.followers import (
    KEPT,
    MAX_SUBSCRIPTIONS,
    Follower,
    Node,
    draft,
    identity,
    offsets_of,
    settle,
)

ROOM = "room:1"
# The gate in the database, attaching to the bus, the read that opens the topic, and the read that catches up.
AWAITS = ["gate", "attach", "open", "read"]


@pytest.fixture
async def node() -> Node:
    return Node()


async def stopped_at(node: Node, point: str, follower: Follower) -> "asyncio.Task[Joined | RequestError]":
    """A subscribe to ROOM, under way, that waits at `point`."""
    start = await node.publish(1, ROOM)
    since = Position(start.epoch, 0)
    if point == "read":
        # Opened by somebody who asks for nothing: then what was missed is a read of its own.
        await node.join(Follower(identity=identity(3)), ROOM)
    node.engine.calls.clear()
    if point == "read":
        node.engine.calls.append("open")
    node.engine.stop_at = point
    subscribing = asyncio.create_task(node.ask(follower, ROOM, since))
    await asyncio.wait_for(node.engine.reached.wait(), 1)
    return subscribing


async def finish(node: Node, subscribing: "asyncio.Task[Joined | RequestError]") -> Joined | RequestError:
    node.engine.stop_at = ""
    node.engine.go.set()
    outcome = await asyncio.wait_for(subscribing, 1)
    await settle()
    return outcome


async def leave_all(node: Node) -> None:
    for local in node.hub.topics():
        for subscription in list(local.subscriptions.values()):
            node.hub.end(subscription, at_once=True)
    await settle()


@pytest.mark.parametrize("point", AWAITS)
async def test_nothing_happens_meanwhile(node: Node, point: str) -> None:
    follower = Follower()
    outcome = await finish(node, await stopped_at(node, point, follower))
    assert isinstance(outcome, Joined)
    assert offsets_of(outcome) == [1]
    assert follower.metrics.subscriptions == 1
    await leave_all(node)
    node.assert_nothing_left(follower)


@pytest.mark.parametrize("point", AWAITS)
@pytest.mark.parametrize("code", [CloseCode.UNAUTHENTICATED, CloseCode.SLOW_CONSUMER, CloseCode.RESTART])
async def test_the_connection_closes(node: Node, point: str, code: CloseCode) -> None:
    follower = Follower()
    subscribing = await stopped_at(node, point, follower)
    follower.close(code)
    outcome = await finish(node, subscribing)
    assert isinstance(outcome, RequestError)
    assert outcome.code == ErrorCode.CANCELLED
    await node.publish(2, ROOM)
    await settle()
    assert follower.got == []
    await leave_all(node)
    node.assert_nothing_left(follower)


@pytest.mark.parametrize("point", AWAITS)
async def test_the_user_is_removed(node: Node, point: str) -> None:
    follower = Follower()
    subscribing = await stopped_at(node, point, follower)
    node.database.members.discard(1)
    node.hub.revoke(follower.subscriptions[ROOM].key, 1)
    outcome = await finish(node, subscribing)
    assert isinstance(outcome, RequestError)
    assert outcome.code == ErrorCode.PERMISSION_DENIED
    await node.publish(2, ROOM)
    await settle()
    assert follower.got == []
    await leave_all(node)
    node.assert_nothing_left(follower)


@pytest.mark.parametrize("point", AWAITS)
async def test_the_user_is_removed_and_let_in_again(node: Node, point: str) -> None:
    follower = Follower()
    subscribing = await stopped_at(node, point, follower)
    node.hub.revoke(follower.subscriptions[ROOM].key, 1)
    outcome = await finish(node, subscribing)
    assert isinstance(outcome, Joined)
    assert node.database.asked >= 2


@pytest.mark.parametrize("point", AWAITS)
async def test_another_user_is_removed(node: Node, point: str) -> None:
    """The gate is not asked again for what does not concern it."""
    follower = Follower()
    subscribing = await stopped_at(node, point, follower)
    asked = node.database.asked
    node.hub.revoke(follower.subscriptions[ROOM].key, 2)
    assert isinstance(await finish(node, subscribing), Joined)
    assert node.database.asked == asked


@pytest.mark.parametrize("point", AWAITS)
async def test_the_rights_shrink(node: Node, point: str) -> None:
    follower = Follower()
    subscribing = await stopped_at(node, point, follower)
    follower.identity = identity(scopes=())
    await node.joiner.judge_again(follower)  # type: ignore[arg-type] # a fake
    outcome = await finish(node, subscribing)
    assert isinstance(outcome, RequestError)
    assert outcome.code == ErrorCode.PERMISSION_DENIED
    await leave_all(node)
    node.assert_nothing_left(follower)


@pytest.mark.parametrize("point", AWAITS)
async def test_the_request_is_cancelled(node: Node, point: str) -> None:
    follower = Follower()
    subscribing = await stopped_at(node, point, follower)
    subscribing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await subscribing
    node.engine.go.set()
    await settle()
    assert follower.subscriptions == {}
    await leave_all(node)
    node.assert_nothing_left(follower)


@pytest.mark.parametrize("point", AWAITS)
async def test_the_broker_goes_away(node: Node, point: str) -> None:
    follower = Follower()
    subscribing = await stopped_at(node, point, follower)
    node.engine.is_away = True
    outcome = await finish(node, subscribing)
    assert isinstance(outcome, RequestError)
    assert outcome.code == ErrorCode.TIMEOUT
    assert follower.subscriptions == {}
    await leave_all(node)
    node.assert_nothing_left(follower)
    # It comes back, and so does the follower.
    node.engine.is_away = False
    assert isinstance(await node.ask(follower, ROOM), Joined)


@pytest.mark.parametrize("point", AWAITS)
async def test_the_history_is_lost(node: Node, point: str) -> None:
    follower = Follower()
    subscribing = await stopped_at(node, point, follower)
    node.engine.lose_history()
    # Somebody publishes under the new epoch while the answer is still on its way.
    publishing = asyncio.create_task(node.publish(7, ROOM))
    await settle()
    outcome = await finish(node, subscribing)
    await publishing
    await node.hub.compare(None)
    await settle()
    if isinstance(outcome, Joined) and follower.subscriptions:
        # Whole from where it was told, under the epoch that is in force.
        assert outcome.position.epoch == node.hub.topics()[0].epoch
        await node.publish(8, ROOM)
        await settle()
        known = outcome.position.offset
        assert follower.offsets == list(range(known + 1, known + 1 + len(follower.offsets)))
        assert follower.got[-1]["data"] == 8
    else:
        assert isinstance(outcome, RequestError) or follower.pushed[-1][0] == "unsubscribed"


@pytest.mark.parametrize("point", AWAITS)
async def test_it_is_unsubscribed(node: Node, point: str) -> None:
    follower = Follower()
    subscribing = await stopped_at(node, point, follower)
    node.hub.end(follower.subscriptions[ROOM], at_once=True)
    outcome = await finish(node, subscribing)
    assert isinstance(outcome, RequestError)
    assert outcome.code == ErrorCode.CANCELLED
    await leave_all(node)
    node.assert_nothing_left(follower)


@pytest.mark.parametrize("point", AWAITS)
async def test_more_is_published_meanwhile(node: Node, point: str) -> None:
    follower = Follower()
    subscribing = await stopped_at(node, point, follower)
    for number in (2, 3):
        await node.publish(number, ROOM)
    await settle()
    outcome = await finish(node, subscribing)
    assert isinstance(outcome, Joined)
    recovered = offsets_of(outcome)
    await node.publish(4, ROOM)
    await settle()
    assert recovered is not None
    assert recovered + follower.offsets == [1, 2, 3, 4]


async def test_a_gate_that_says_something_true_is_closed(node: Node) -> None:
    node.database.is_member = lambda who, topic: 1  # type: ignore[method-assign,assignment,return-value] # truthy, not True
    rule = node.joiner._rules.rule(ROOM)
    object.__setattr__(rule, "subscribe_in_db", node.database.is_member)
    outcome = await node.ask(Follower(), ROOM)
    assert isinstance(outcome, RequestError)


async def test_a_second_subscribe_that_is_denied_ends_the_first(node: Node) -> None:
    follower = Follower()
    await node.join(follower, ROOM)
    node.database.members.clear()
    outcome = await node.ask(follower, ROOM)
    assert isinstance(outcome, RequestError)
    assert follower.pushed[0][0] == "unsubscribed"
    await settle()
    node.assert_nothing_left(follower)


async def test_a_second_subscribe_goes_on_without_a_hole(node: Node) -> None:
    follower = Follower()
    first = await node.join(follower)
    await node.publish(1)
    again = await node.join(follower, since=first.position)
    await node.publish(2)
    await settle()
    assert offsets_of(again) == [1]
    assert follower.offsets == [2]
    assert follower.metrics.subscriptions == 1
    assert node.presences.live == [follower.subscriptions["news"]]


async def test_what_does_not_fit_does_not_go_on_either(node: Node) -> None:
    """The client is told that it is not subscribed: it would take what comes next for a gap, or not at all."""
    follower = Follower()
    starts = [await node.join(follower, topic) for topic in ("a", "b")]
    for topic in ("a", "b"):
        for _ in range(3):
            await node.publish("x" * (CATCH_UP_MAX_BYTES // 5), topic)
    requests = [JoinRequest(each.subscription.topic, each.position, False) for each in starts]
    outcomes = await node.joiner.join(follower, requests)  # type: ignore[arg-type] # a fake
    assert isinstance(outcomes[0], Joined)
    assert isinstance(outcomes[1], RequestError)
    assert outcomes[1].code == ErrorCode.LIMIT_EXCEEDED
    assert list(follower.subscriptions) == ["a"]
    assert follower.metrics.subscriptions == 1


async def test_two_requests_for_one_topic_at_once(node: Node) -> None:
    follower = Follower()
    subscribing = await stopped_at(node, "gate", follower)
    other = await node.ask(follower, ROOM)
    assert isinstance(other, RequestError)
    assert other.code == ErrorCode.CONFLICT
    assert isinstance(await finish(node, subscribing), Joined)


async def test_the_limit_counts_those_under_way(node: Node) -> None:
    follower = Follower()
    requests = [JoinRequest(f"t{number}", None, False) for number in range(MAX_SUBSCRIPTIONS + 1)]
    outcomes = await node.joiner.join(follower, requests)  # type: ignore[arg-type] # a fake
    assert all(isinstance(each, Joined) for each in outcomes[:-1])
    assert isinstance(outcomes[-1], RequestError)
    assert outcomes[-1].code == ErrorCode.LIMIT_EXCEEDED


async def test_nothing_comes_before_the_answer_for_many(node: Node) -> None:
    """All go LIVE at one moment, although the topics open one after the other."""
    follower = Follower()
    await node.join(Follower(), "a")
    subscribing = asyncio.create_task(
        node.joiner.join(follower, [JoinRequest("a", None, False), JoinRequest(ROOM, None, False)])  # type: ignore[arg-type] # a fake
    )
    node.engine.stop_at = "gate"
    await asyncio.wait_for(node.engine.reached.wait(), 1)
    await node.publish(1, "a")
    await settle()
    assert follower.got == []
    node.engine.go.set()
    outcomes = await subscribing
    assert [each.position.offset for each in outcomes if isinstance(each, Joined)] == [1, 0]
    assert all(each.state is SubscriptionState.LIVE for each in follower.subscriptions.values())


async def test_one_denied_topic_is_not_that_of_the_others(node: Node) -> None:
    node.database.members.clear()
    requests = [
        JoinRequest("a", None, False),
        JoinRequest(ROOM, None, False),
        JoinRequest("x:y", None, False),
    ]
    outcomes = await node.joiner.join(Follower(), requests)  # type: ignore[arg-type] # a fake
    assert isinstance(outcomes[0], Joined)
    assert [each.code for each in outcomes[1:] if isinstance(each, RequestError)] == ["permission_denied"] * 2


async def test_what_no_reply_can_hold_is_not_recovered(node: Node) -> None:
    start = await node.publish(0)
    big = "x" * 60_000
    for _ in range(10):
        await node.publish(big)
    since = Position(start.epoch, 0)
    alone = await node.join(Follower(), since=since)
    assert alone.payloads is None


@pytest.mark.parametrize("others", [[], ["a", "b"]])
async def test_what_no_reply_can_hold_is_refused_in_one_for_many(node: Node, others: list[str]) -> None:
    """Its place is not taken from the others, and nothing of it is delivered."""
    since = Position((await node.publish(0)).epoch, 0)
    for _ in range(10):
        await node.publish("x" * 60_000)
    starts = {topic: Position((await node.publish(0, topic)).epoch, 0) for topic in others}
    for topic in others:
        await node.publish("x" * 100_000, topic)
    requests = [JoinRequest("news", since, False), *(JoinRequest(*each, False) for each in starts.items())]
    follower = Follower()
    refused, *outcomes = await node.joiner.join(follower, requests, is_shared=True)  # type: ignore[arg-type] # a fake
    assert isinstance(refused, RequestError)
    assert refused.code == ErrorCode.LIMIT_EXCEEDED
    assert refused.payload()["retryable"] is True
    assert [offsets_of(each) for each in outcomes if isinstance(each, Joined)] == [[1, 2]] * len(others)
    assert list(follower.subscriptions) == others


async def test_what_is_gone_is_not_too_large(node: Node) -> None:
    since = Position((await node.publish(0)).epoch, 0)
    for _ in range(10):
        await node.publish("x" * 60_000)
    request = JoinRequest("news", Position("another", since.offset), False)
    [outcome] = await node.joiner.join(Follower(), [request], is_shared=True)  # type: ignore[arg-type] # a fake
    assert isinstance(outcome, Joined)
    assert outcome.payloads is None


async def test_what_does_not_fit_beside_the_others_is_refused(node: Node) -> None:
    follower = Follower()
    starts = {}
    for topic in ("a", "b", "c"):
        starts[topic] = Position((await node.publish(0, topic)).epoch, 0)
        for _ in range(4):
            await node.publish("x" * 50_000, topic)
    requests = [JoinRequest(topic, since, False) for topic, since in starts.items()]
    outcomes = await node.joiner.join(follower, requests)  # type: ignore[arg-type] # a fake
    assert [isinstance(each, Joined) for each in outcomes] == [True, True, False]
    assert isinstance(outcomes[2], RequestError)
    assert outcomes[2].payload()["retryable"] is True
    assert set(follower.subscriptions) == {"a", "b"}


async def test_presence_that_does_not_fit_beside_the_others_is_refused(node: Node) -> None:
    follower = Follower()
    for topic in ("a", "f"):
        await node.join(follower, topic)
    node.presences.list_bytes = PRESENCE_MAX_BYTES * 2 // 5
    requests = [JoinRequest(topic, None, topic not in "bd") for topic in "abcdef"]
    outcomes = await node.joiner.join(follower, requests)  # type: ignore[arg-type] # a fake
    assert [isinstance(each, Joined) for each in outcomes] == [True, True, True, True, False, False]
    assert isinstance(outcomes[4], RequestError)
    assert outcomes[4].code == ErrorCode.LIMIT_EXCEEDED
    assert outcomes[4].payload()["retryable"] is True
    assert set(follower.subscriptions) == set("abcd")


async def test_presence_of_one_topic_always_fits(node: Node) -> None:
    node.presences.list_bytes = PRESENCE_MAX_BYTES * 2
    outcomes = await node.joiner.join(Follower(), [JoinRequest(topic, None, True) for topic in "ab"])  # type: ignore[arg-type] # a fake
    assert [isinstance(each, Joined) for each in outcomes] == [True, False]


async def test_a_crowd_that_comes_back_reads_once(node: Node) -> None:
    start = await node.publish(0)
    for number in range(1, 4):
        await node.publish(number)
    node.engine.calls.clear()
    since = Position(start.epoch, 1)
    joined = await asyncio.gather(*(node.join(Follower(), since=since) for _ in range(200)))
    assert {tuple(offsets_of(each) or ()) for each in joined} == {(2, 3, 4)}
    assert node.engine.calls.count("open") + node.engine.calls.count("read") == 1


async def test_who_knows_more_than_this_node_waits_for_it(node: Node) -> None:
    """Another node told the client; here it is still on its way."""
    await node.join(Follower())
    added = await node.engine._history.add(node.hub.topics()[0].key, draft(5), KEPT)
    late = Follower()
    joined = await node.join(late, since=added.position)
    assert offsets_of(joined) == []
    assert joined.position == added.position
    await node.publish(6)
    await settle()
    assert late.offsets == [2]


async def test_a_position_that_never_was_is_not_recovered(node: Node) -> None:
    await node.join(Follower())
    epoch = node.hub.topics()[0].epoch
    joined = await node.join(Follower(), since=Position(epoch, 1000))
    assert joined.payloads is None
    assert joined.position.offset == 0


RAISED = {
    "denied": (PermissionDenied(), "permission_denied"),
    "missing": (Http404(), "not_found"),
    "broken": (ZeroDivisionError(), "internal"),
}


def raising(who: Identity | None, topic: str) -> bool:
    error, _ = RAISED.get(topic.partition(":")[2], (None, ""))
    if error is not None:
        raise error
    return True


@pytest.mark.parametrize("prefix", ["at_hand", "in_db"])
async def test_a_gate_that_raises_is_the_answer_for_its_topic_alone(node: Node, prefix: str) -> None:
    rules = TopicRules({"at_hand": TopicRule(subscribe=raising), "in_db": TopicRule(subscribe_in_db=raising)})
    joiner = Joiner(node.hub, rules, node.database, 0)  # type: ignore[arg-type] # a fake
    follower = Follower()
    requests = [JoinRequest(f"{prefix}:{name}", None, False) for name in (*RAISED, "open")]
    *refused, joined = await joiner.join(follower, requests)  # type: ignore[arg-type] # a fake
    codes = [each.code for each in refused if isinstance(each, RequestError)]
    assert codes == [code for _, code in RAISED.values()]
    assert isinstance(joined, Joined)
    assert list(follower.subscriptions) == [f"{prefix}:open"]
