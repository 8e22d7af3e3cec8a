"""Publish and subscribe: the verbs, and an endpoint with only these verbs."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import partial
from time import time_ns
from typing import Annotated, Any, TypeVar

import msgspec

from realtime.core.history import Draft, Publication, Publisher, draft_of
from realtime.core.position import Position
from realtime.core.topics import Gate, Retention, TopicKey, TopicRule, check_topic_name
from realtime.endpoints import wire
from realtime.endpoints.consumers.base import JsonConsumer
from realtime.endpoints.consumers.core_verbs import CORE_VERBS
from realtime.endpoints.verbs import Answered, Call, PublishedLater, Verb
from realtime.node.joining import Joined, JoinRequest
from realtime.protocol.codec import encode_bytes, encode_data, time_text
from realtime.protocol.envelope import Reply
from realtime.protocol.errors import ErrorCode, RequestError
from realtime.topics.engine.ports import Page
from realtime.topics.hub import Hub

HISTORY_DEFAULT_LIMIT = 100
HISTORY_MAX_LIMIT = 1000
# The most history in one reply. It must fit into the outbox and into the message limit of a client.
HISTORY_MAX_BYTES = 512 * 1024
# Topics in one `subscribe`.
SUBSCRIBE_MAX_TOPICS = 100
# How often a read is repeated because rights were revoked while it ran; then it ends with `timeout`.
GATE_ASKS_MAX = 8

T = TypeVar("T")


class Since(msgspec.Struct, frozen=True):
    """The position that the client last saw."""

    epoch: str
    offset: Annotated[int, msgspec.Meta(ge=0)]

    def position(self) -> Position:
        """Return it as a Position of the core."""
        return Position(self.epoch, self.offset)


class SubscribeOne(msgspec.Struct, frozen=True):
    """One topic of a `subscribe`."""

    topic: str
    recover: Since | None = None
    presence: bool = False

    def request(self) -> JoinRequest:
        """Return it in the form that joining takes."""
        return JoinRequest(self.topic, self.recover.position() if self.recover else None, self.presence)


class Subscribe(msgspec.Struct, frozen=True):
    """Payload of `subscribe`: one topic, or many in `topics`."""

    topic: str | None = None
    recover: Since | None = None
    presence: bool = False
    topics: list[SubscribeOne] | None = None


class Topic(msgspec.Struct, frozen=True):
    """Payload of `unsubscribe` and `presence`."""

    topic: str


class Publish(msgspec.Struct, frozen=True):
    """Payload of `publish`."""

    topic: str
    data: Any
    idempotency_key: Annotated[str, msgspec.Meta(min_length=1, max_length=128)] | None = None


class History(msgspec.Struct, frozen=True):
    """Payload of `history`."""

    topic: str
    since: Since | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=HISTORY_MAX_LIMIT)] = HISTORY_DEFAULT_LIMIT


async def on_subscribe(call: Call, payload: Subscribe) -> Reply:
    """Begin one or more subscriptions. The reply holds missed publications if the client asked to recover."""
    if (payload.topic is None) == (payload.topics is None):
        raise _wrong("payload.topic", "Expected either `topic` or `topics`.")
    if payload.topics is not None:
        return await _subscribe_many(call, payload.topics)
    assert payload.topic is not None
    one = SubscribeOne(payload.topic, payload.recover, payload.presence)
    [outcome] = await call.node.joiner.join(call.connection, [one.request()])
    if isinstance(outcome, RequestError):
        raise outcome
    return Reply("subscribed", _subscribed(call, one, outcome))


async def _subscribe_many(call: Call, topics: list[SubscribeOne]) -> Reply:
    names = {one.topic for one in topics}
    if not 1 <= len(topics) <= SUBSCRIBE_MAX_TOPICS or len(names) != len(topics):
        raise _wrong("payload.topics", f"Expected 1 to {SUBSCRIBE_MAX_TOPICS} different topics.")
    call.charge(len(topics))
    requests = [one.request() for one in topics]
    outcomes = await call.node.joiner.join(call.connection, requests, is_shared=True)
    answers = [
        {"topic": one.topic, "error": _one_of_many(outcome, at).payload()}
        if isinstance(outcome, RequestError)
        else _subscribed(call, one, outcome)
        for at, (one, outcome) in enumerate(zip(topics, outcomes, strict=True))
    ]
    return Reply("subscribed", {"topics": answers})


async def on_unsubscribe(call: Call, payload: Topic) -> Reply:
    """End a subscription. It is no error if there is none."""
    check_topic_name(payload.topic)
    subscription = call.connection.subscriptions.get(payload.topic)
    if subscription is not None:
        call.node.hub.end(subscription, at_once=True)
    return Reply("unsubscribed", {"topic": payload.topic})


def on_publish(call: Call, payload: Publish) -> Awaitable[Reply | None]:
    """Publish to all subscribers, including the publisher."""
    rule = call.node.rules.require_publish(call.connection.identity, payload.topic)
    if rule.publish_in_db is not None:
        return _publish_if_allowed(call, payload, rule.publish_in_db, rule)
    return _publish(call, payload, rule)


async def _publish_if_allowed(call: Call, payload: Publish, gate: Gate, rule: TopicRule) -> Reply | None:
    if await call.in_db(gate, call.identity, payload.topic) is not True:
        raise RequestError(ErrorCode.PERMISSION_DENIED, "You may not publish to this topic.")
    publishing = _publish(call, payload, rule)
    if isinstance(publishing, Answered):
        return publishing.reply
    await call.consumer.publish_later(call, publishing)
    return None


def _publish(call: Call, payload: Publish, rule: TopicRule) -> Answered | PublishedLater:
    node, identity = call.node, call.connection.identity
    publisher = Publisher(identity.user_id, identity.username) if identity else None
    data = encode_data(payload.data)
    if rule.contract is not None:
        node.rules.check_data(payload.topic, data)
    draft = draft_of(data, publisher, time_text(time_ns()), payload.idempotency_key)
    key = TopicKey(call.connection.tenant.slug, payload.topic)
    position = node.hub.publish_now(key, draft, rule.retention)
    if position is None:
        publish = partial(_publish_and_wait, node.hub, key, draft, rule.retention)
        return PublishedLater(payload.topic, len(draft.data), publish)
    return Answered(_published(payload.topic, position))


async def on_history(call: Call, payload: History) -> Reply:
    """Read a topic's history: the publications after a position, or the newest."""
    page = await _while_allowed(call, payload.topic, lambda: _read(call, payload))
    return Reply("history", history_payload(payload.topic, page, is_newest=payload.since is None))


async def on_presence(call: Call, payload: Topic) -> Reply:
    """Return the users that are subscribed now."""
    users = await _while_allowed(call, payload.topic, lambda: _users(call, payload))
    return Reply("presence", {"topic": payload.topic, **users})


def _topics(payload: Subscribe | Topic | History) -> Iterable[str]:
    if payload.topic is not None:
        return (payload.topic,)
    return [each.topic for each in getattr(payload, "topics", None) or ()]


PUBSUB_VERBS: Mapping[str, Verb] = {
    "subscribe": Verb(
        Subscribe, on_subscribe, reply="subscribed", returns=wire.SubscribedReply, topics=_topics
    ),
    "unsubscribe": Verb(Topic, on_unsubscribe, reply="unsubscribed", returns=wire.TopicName, topics=_topics),
    "publish": Verb(Publish, on_publish, reply="published", returns=wire.Published),
    "history": Verb(History, on_history, reply="history", returns=wire.HistoryReply, topics=_topics),
    "presence": Verb(Topic, on_presence, reply="presence", returns=wire.PresenceReply),
}


def pubsub_flat_form(message: dict[str, Any]) -> dict[str, Any]:
    """Turn the original guide's `{"action", "topic", "message"}` into an envelope."""
    action = message.get("action")
    if "type" in message or not isinstance(action, str):
        return message
    payload = {key: value for key, value in message.items() if key not in {"action", "message", "id"}}
    if "message" in message:
        payload["data"] = message["message"]
    return {"id": message.get("id"), "type": action, "payload": payload}


class PubSubConsumer(JsonConsumer):
    """Publish and subscribe. The rule of a topic says who may do so."""

    verbs = {**CORE_VERBS, **PUBSUB_VERBS}
    flat_form = staticmethod(pubsub_flat_form)


async def _require_subscribe(call: Call, topic: str) -> TopicRule:
    rule = call.node.rules.require_subscribe(call.identity, topic)
    gate = rule.subscribe_in_db
    if gate is not None and await call.in_db(gate, call.identity, topic) is not True:
        raise RequestError(ErrorCode.PERMISSION_DENIED, "You may not subscribe to this topic.")
    return rule


async def _while_allowed(call: Call, topic: str, read: Callable[[], Awaitable[T]]) -> T:
    """Return what `read` gives, if the caller may subscribe both before and after the read.

    Rights may be revoked while the gate or the read runs; then both are repeated.
    """
    hub = call.node.hub
    for _ in range(GATE_ASKS_MAX):
        revocations = hub.revocations
        await _require_subscribe(call, topic)
        answer = await read()
        if hub.revocations == revocations:
            return answer
    raise RequestError(ErrorCode.TIMEOUT, "Permissions changed while this was read; try again.")


async def _read(call: Call, payload: History) -> Page:
    key, history = TopicKey(call.tenant.slug, payload.topic), call.node.history
    if payload.since is None:
        return await history.latest(key, payload.limit, HISTORY_MAX_BYTES)
    return await history.since(key, payload.since.position(), payload.limit, HISTORY_MAX_BYTES)


async def _users(call: Call, payload: Topic) -> dict[str, Any]:
    return call.node.presence.view(call.connection, payload.topic)


async def _publish_and_wait(hub: Hub, key: TopicKey, draft: Draft, retention: Retention) -> Reply:
    return _published(key.topic, await hub.publish(key, draft, retention))


def _published(topic: str, position: Position) -> Reply:
    return Reply("published", {"topic": topic, "epoch": position.epoch, "offset": position.offset})


def _subscribed(call: Call, one: SubscribeOne, joined: Joined) -> dict[str, Any]:
    if one.recover is not None:
        call.node.metrics.recovered(is_full=joined.payloads is not None)
    reply: dict[str, Any] = {
        "topic": one.topic,
        "epoch": joined.position.epoch,
        "offset": joined.position.offset,
        "recovered": None if one.recover is None else joined.payloads is not None,
        "publications": [msgspec.Raw(payload) for payload in joined.payloads or ()],
    }
    if one.presence:
        reply["presence"] = call.node.presence.view(call.connection, one.topic)
    return reply


def _one_of_many(error: RequestError, at: int) -> RequestError:
    """Return the error of a topic; a wrong name is named by its place in `topics`."""
    if error.details == {"field": "payload.topic"}:
        error.details = {"field": f"payload.topics[{at}].topic"}
    return error


def _wrong(field: str, message: str) -> RequestError:
    return RequestError(ErrorCode.INVALID_MESSAGE, message, details={"field": field})


def history_payload(topic: str, page: Page, *, is_newest: bool) -> dict[str, Any]:
    """Return a page as a reply; raises RequestError(unrecoverable_position) if publications are missing."""
    if page.publications is None:
        raise RequestError(
            ErrorCode.UNRECOVERABLE_POSITION, "The history no longer reaches back to this position."
        )
    return {
        "topic": topic,
        "epoch": page.position.epoch,
        "offset": page.position.offset,
        "publications": _fitting(page.publications, is_newest=is_newest),
    }


def _fitting(publications: list[Publication], *, is_newest: bool) -> list[msgspec.Raw]:
    """Return as many publications as fit into a reply, counted from the newest or from the oldest."""
    fitting: list[msgspec.Raw] = []
    left_bytes = HISTORY_MAX_BYTES
    for publication in reversed(publications) if is_newest else publications:
        payload = encode_bytes(publication)
        left_bytes -= len(payload)
        if left_bytes < 0 and fitting:
            break
        fitting.append(msgspec.Raw(payload))
    return fitting[::-1] if is_newest else fitting
