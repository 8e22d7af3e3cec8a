"""Publish and subscribe: the verbs, and the endpoint that has nothing else."""

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec

from realtime.clock import utc_now_text
from realtime.consumers.json import CORE_VERBS, JsonConsumer
from realtime.core.history import Position, Publication, Publisher
from realtime.core.topics import TopicRule
from realtime.engine.ports import Draft, Page, Retention, TopicKey
from realtime.protocol.codec import encode
from realtime.protocol.envelope import Reply
from realtime.protocol.errors import ErrorCode, RequestError
from realtime.protocol.names import check_topic_name
from realtime.verbs import Call, Verb

HISTORY_DEFAULT_LIMIT = 100
HISTORY_MAX_LIMIT = 1000
# A reply holds at most this much of a history: it has to fit a client's own limit and the outbox.
HISTORY_MAX_BYTES = 512 * 1024


class Since(msgspec.Struct, frozen=True):
    """A position the client was at."""

    epoch: str
    offset: Annotated[int, msgspec.Meta(ge=0)]

    def position(self) -> Position:
        """As the core knows it."""
        return Position(self.epoch, self.offset)


class Subscribe(msgspec.Struct, frozen=True):
    """Payload of `subscribe`."""

    topic: str
    recover: Since | None = None
    presence: bool = False


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
    """Begin a subscription, with what was missed where that is asked."""
    rule = await _require_subscribe(call, payload.topic)
    connection, runtime = call.connection, call.runtime
    limit = runtime.settings.MAX_SUBSCRIPTIONS
    if limit and payload.topic not in connection.subscriptions and len(connection.subscriptions) >= limit:
        raise RequestError(ErrorCode.LIMIT_EXCEEDED, f"A connection may subscribe to {limit} topics.")
    since = payload.recover.position() if payload.recover else None
    subscribed = await runtime.hub.subscribe(connection, payload.topic, _retention(rule), since)
    if payload.topic not in connection.subscriptions:
        connection.subscriptions.add(payload.topic)
        connection.metrics.subscriptions += 1
    publications = subscribed.publications
    if publications and len(encode({"publications": publications})) > HISTORY_MAX_BYTES:
        publications = None
    reply: dict[str, Any] = {
        "topic": payload.topic,
        "epoch": subscribed.position.epoch,
        "offset": subscribed.position.offset,
        "recovered": None if since is None else publications is not None,
        "publications": publications or [] if since is not None else [],
    }
    runtime.presence.subscribed(connection, payload.topic, wants_pushes=payload.presence)
    if payload.presence:
        reply["presence"] = runtime.presence.users(connection.tenant.slug, payload.topic)
    return Reply("subscribed", reply)


async def on_unsubscribe(call: Call, payload: Topic) -> Reply:
    """End a subscription; ending none is no error."""
    check_topic_name(payload.topic)
    call.runtime.hub.unsubscribe(call.connection, payload.topic)
    return Reply("unsubscribed", {"topic": payload.topic})


async def on_publish(call: Call, payload: Publish) -> Reply:
    """Publish to everyone subscribed, the publisher among them."""
    rule = call.runtime.rules.require_publish(call.identity, payload.topic)
    identity = call.identity
    publisher = Publisher(identity.user_id, identity.username) if identity else None
    draft = Draft(payload.data, publisher, utc_now_text(), payload.idempotency_key)
    key = TopicKey(call.tenant.slug, payload.topic)
    position = await call.runtime.hub.publish(key, draft, _retention(rule))
    return Reply("published", {"topic": payload.topic, "epoch": position.epoch, "offset": position.offset})


async def on_history(call: Call, payload: History) -> Reply:
    """Read what a topic remembers: after a position, or the newest."""
    await _require_subscribe(call, payload.topic)
    key, history = TopicKey(call.tenant.slug, payload.topic), call.runtime.history
    if payload.since is None:
        page = await history.latest(key, payload.limit)
    else:
        page = await history.since(key, payload.since.position(), payload.limit)
    return Reply("history", _history_payload(payload.topic, page, is_newest=payload.since is None))


async def on_presence(call: Call, payload: Topic) -> Reply:
    """Who is subscribed now."""
    await _require_subscribe(call, payload.topic)
    users = call.runtime.presence.users(call.tenant.slug, payload.topic)
    return Reply("presence", {"topic": payload.topic, **users})


PUBSUB_VERBS: Mapping[str, Verb] = {
    "subscribe": Verb(Subscribe, on_subscribe),
    "unsubscribe": Verb(Topic, on_unsubscribe),
    "publish": Verb(Publish, on_publish),
    "history": Verb(History, on_history),
    "presence": Verb(Topic, on_presence),
}


def pubsub_flat_form(message: dict[str, Any]) -> dict[str, Any]:
    """The original guide's `{"action", "topic", "message"}` as an envelope."""
    action = message.get("action")
    if "type" in message or not isinstance(action, str):
        return message
    payload = {key: value for key, value in message.items() if key not in {"action", "message", "id"}}
    if "message" in message:
        payload["data"] = message["message"]
    return {"id": message.get("id"), "type": action, "payload": payload}


class PubSubConsumer(JsonConsumer):
    """Topics for everybody, as far as their rules go."""

    verbs = {**CORE_VERBS, **PUBSUB_VERBS}
    flat_form = staticmethod(pubsub_flat_form)


async def _require_subscribe(call: Call, topic: str) -> TopicRule:
    rule = call.runtime.rules.require_subscribe(call.identity, topic)
    gate = rule.subscribe_in_db
    if gate is not None and not await call.in_db(gate, call.identity, topic):
        raise RequestError(ErrorCode.PERMISSION_DENIED, "You may not subscribe to this topic.")
    return rule


def _retention(rule: TopicRule) -> Retention:
    return Retention(rule.history_size, rule.history_ttl_s)


def _history_payload(topic: str, page: Page, *, is_newest: bool) -> dict[str, Any]:
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


def _fitting(publications: list[Publication], *, is_newest: bool) -> list[Mapping[str, Any]]:
    """As many as fit a reply, from the newest or from the oldest."""
    fitting: list[Mapping[str, Any]] = []
    left_bytes = HISTORY_MAX_BYTES
    for publication in reversed(publications) if is_newest else publications:
        payload = publication.payload()
        left_bytes -= len(encode(payload))
        if left_bytes < 0 and fitting:
            break
        fitting.append(payload)
    return fitting[::-1] if is_newest else fitting
