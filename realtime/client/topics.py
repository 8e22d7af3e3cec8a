"""The topics of a client: subscribes to them, and again after a reconnect, a gap or a refusal that passes."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

import msgspec

from realtime.client.errors import ClientError, DisconnectedError, error_of
from realtime.client.listening import HELD_MAX, Outcome, Subscribed, oldest
from realtime.client.retries import backoff_s
from realtime.client.subscription import Subscription
from realtime.client.types import Presence, PresentUser, Publication
from realtime.core.position import Position

# Topics in one `subscribe`, and characters of their names: a message has at most 64 KiB.
TOPICS_PER_REQUEST = 100
NAMES_PER_REQUEST_CHARS = 16_000
# The server ended a subscription because it lost publications. Subscribing again recovers them if possible.
LOST_POSITION = "unrecoverable_position"
_UNANSWERED = {"code": "internal", "message": "The server did not answer for this topic.", "retryable": True}


class Wire(Protocol):
    """The part of a connection that topics use."""

    async def ask(self, verb: str, payload: Mapping[str, Any]) -> dict[str, Any]:
        """Send a request and return the payload of its reply; raises ClientError."""
        ...

    def tell(self, verb: str, payload: Mapping[str, Any]) -> None:
        """Send a message without an answer, if there is a connection."""
        ...


class Topic:
    """One topic with its subscriptions, which share one subscription of the server."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.subscriptions: dict[int, Subscription] = {}
        self.is_alone = False
        self.failures = 0
        self.retry: asyncio.TimerHandle | None = None
        self._asked: Position | None = None
        # Those that the last `subscribe` was for. Later ones wait for the next.
        self._begun: list[Subscription] = []
        # Changes of presence that came before the answer was read.
        self._held: list[Mapping[str, Any]] | None = None
        self._had_presence = False
        self._present: dict[int | str, PresentUser] = {}

    def begin(self) -> dict[str, Any]:
        """Return the entry for the next `subscribe`. Until `accept`, publications are held back."""
        self._begun = list(self.subscriptions.values())
        self._held = []
        self._asked = oldest(each.listener for each in self._begun)
        for each in self._begun:
            each.listener.hold()
        entry: dict[str, Any] = {"topic": self.name}
        wants_presence = any(each.wants_presence for each in self.subscriptions.values())
        if wants_presence or self._had_presence:
            entry["presence"] = wants_presence
        self._had_presence = wants_presence
        if self._asked is not None:
            entry["recover"] = {"epoch": self._asked.epoch, "offset": self._asked.offset}
        return entry

    def accept(self, reply: Subscribed) -> bool:
        """Go live with the server's answer. Return False if it must be subscribed again."""
        is_complete = True
        asked = self._asked
        held, self._held = self._held or [], None
        if reply.presence is not None:
            self._tell(msgspec.convert(reply.presence, Presence))
        for payload in held:
            self.presence_changed(payload)
        for each in self._begun:
            if id(each) not in self.subscriptions:
                continue
            own = each.listener.position
            is_of_asked = own is not None and asked is not None and own.epoch == asked.epoch
            if is_of_asked and reply.recovered is False and own.offset > asked.offset:  # type: ignore[union-attr] # set if so
                # Only the older position of another listener was too old.
                is_complete = False
                continue
            recovered = None if own is None else is_of_asked and reply.recovered is True
            if recovered is False:
                each.lost()
            is_complete = each.listener.accept(reply, recovered=recovered) and is_complete
        return is_complete

    def take(self, publication: Publication) -> bool:
        """Take a publication that was pushed. Return False if it must be subscribed again."""
        outcomes = [each.listener.take(publication) for each in list(self.subscriptions.values())]
        return Outcome.GAP not in outcomes

    def presence_changed(self, payload: Mapping[str, Any]) -> None:
        """Tell the new presence after a push."""
        if self._held is not None:
            if len(self._held) < HELD_MAX:
                self._held.append(payload)
            return
        if "count" in payload:
            self._tell(Presence([], payload["count"]))
            return
        users = dict(self._present)
        for left in payload.get("left", ()):
            users.pop(left["id"], None)
        for joined in msgspec.convert(payload.get("joined", []), list[PresentUser]):
            users[joined.id] = joined
        self._tell(Presence(list(users.values()), len(users)))

    def _tell(self, presence: Presence) -> None:
        self._present = {user.id: user for user in presence.users}
        for each in list(self.subscriptions.values()):
            if each.on_presence is not None:
                each.on_presence(presence)


class Topics:
    """All topics of a client."""

    def __init__(self, wire: Wire, random: Callable[[], float]) -> None:
        self._wire = wire
        self._random = random
        self._by_name: dict[str, Topic] = {}
        self._waiting: dict[str, None] = {}
        self._wakes = asyncio.Event()
        self._is_online = False

    def add(self, subscription: Subscription) -> None:
        """Subscribe, now or when there is a connection."""
        topic = self._by_name.setdefault(subscription.topic, Topic(subscription.topic))
        topic.subscriptions[id(subscription)] = subscription
        self.follow(topic.name)

    def remove(self, subscription: Subscription) -> None:
        """End a subscription; the last one of a topic unsubscribes."""
        topic = self._by_name.get(subscription.topic)
        if topic is None or topic.subscriptions.pop(id(subscription), None) is None:
            return
        if not topic.subscriptions:
            self._forget(topic)
            self._wire.tell("unsubscribe", {"topic": topic.name})

    def follow(self, name: str) -> None:
        """Subscribe to a topic again. Without a connection the next one does."""
        if self._is_online and name in self._by_name:
            self._waiting[name] = None
            self._wakes.set()

    async def run(self) -> None:
        """Subscribe to all topics on a new connection, and then to those that need it. Runs until it is cancelled."""
        self._is_online = True
        self._waiting = dict.fromkeys(self._by_name)
        try:
            while True:
                while self._waiting:
                    await self._follow_some()
                self._wakes.clear()
                await self._wakes.wait()
        finally:
            self._is_online = False

    def pushed(self, kind: str, payload: Mapping[str, Any]) -> None:
        """Take a push."""
        topic = self._by_name.get(payload.get("topic", ""))
        if topic is None:
            return
        if kind == "publication" and not topic.take(msgspec.convert(payload, Publication)):
            self.follow(topic.name)
        elif kind == "presence":
            topic.presence_changed(payload)
        elif kind == "unsubscribed" and payload.get("code") == LOST_POSITION:
            self.follow(topic.name)
        elif kind == "unsubscribed":
            self._refused(topic, ClientError(str(payload.get("code")), str(payload.get("reason", ""))))

    def end_all(self, error: ClientError | None) -> None:
        """The client has stopped."""
        for topic in list(self._by_name.values()):
            self._refused(topic, error)

    async def _follow_some(self) -> None:
        topics = [self._by_name[name] for name in self._next_names()]
        for topic in topics:
            self._waiting.pop(topic.name, None)
            _cancel_retry(topic)
        entries = [topic.begin() for topic in topics]
        try:
            reply = await self._wire.ask(
                "subscribe", entries[0] if len(entries) == 1 else {"topics": entries}
            )
        except ClientError as refusal:
            self._all_failed(topics, refusal)
            return
        answers = [reply] if len(entries) == 1 else reply.get("topics", [])
        self._answered(topics, msgspec.convert(answers, list[Subscribed]))

    def _next_names(self) -> list[str]:
        first = next(iter(self._waiting))
        if self._by_name[first].is_alone:
            return [first]
        names: list[str] = []
        chars = 0
        for name in self._waiting:
            if self._by_name[name].is_alone:
                continue
            chars += len(name)
            if len(names) == TOPICS_PER_REQUEST or (names and chars > NAMES_PER_REQUEST_CHARS):
                break
            names.append(name)
        return names

    def _all_failed(self, topics: list[Topic], refusal: ClientError) -> None:
        is_shared = len(topics) > 1 and not refusal.retryable
        for topic in self._known(topics):
            if is_shared:
                # One invalid name fails the whole request, so each topic is tried again alone.
                topic.is_alone = True
                self.follow(topic.name)
            else:
                self._failed(topic, refusal, is_alone=False)

    def _answered(self, topics: list[Topic], answers: list[Subscribed]) -> None:
        by_topic = {answer.topic: answer for answer in answers}
        for topic in self._known(topics):
            answer = by_topic.get(topic.name)
            if answer is None or answer.error is not None:
                self._failed(topic, error_of((answer and answer.error) or _UNANSWERED), is_alone=True)
                continue
            topic.is_alone = False
            topic.failures = 0
            if not topic.accept(answer):
                self.follow(topic.name)

    def _known(self, topics: Iterable[Topic]) -> list[Topic]:
        """Return those that have not been unsubscribed meanwhile."""
        return [topic for topic in topics if self._by_name.get(topic.name) is topic]

    def _failed(self, topic: Topic, error: ClientError, *, is_alone: bool) -> None:
        if isinstance(error, DisconnectedError):
            # The next connection subscribes.
            return
        if not error.retryable:
            self._refused(topic, error)
            return
        topic.is_alone = is_alone
        topic.failures += 1
        delay_s = max(error.retry_after_s, backoff_s(topic.failures + 1, self._random()))
        topic.retry = asyncio.get_running_loop().call_later(delay_s, self.follow, topic.name)

    def _refused(self, topic: Topic, error: ClientError | None) -> None:
        self._forget(topic)
        for subscription in topic.subscriptions.values():
            subscription.end(error)

    def _forget(self, topic: Topic) -> None:
        _cancel_retry(topic)
        self._by_name.pop(topic.name, None)
        self._waiting.pop(topic.name, None)


def _cancel_retry(topic: Topic) -> None:
    if topic.retry is not None:
        topic.retry.cancel()
        topic.retry = None
