"""What the connections of this process are sent about presence. `Cluster` knows the users on all nodes.

Changes are gathered for a moment, so that the watchers of a topic get one push for them. It is encoded once
for all watchers that have the same knowledge. A push to a large topic is delivered in slices, so that it does
not block others.
"""

import asyncio
from collections.abc import Callable
from time import monotonic
from typing import Any

from realtime.core.identity import Identity, UserId
from realtime.core.presence_table import Key, User
from realtime.core.watchers import LIST_MAX_USERS, Push, Roster, Watchers
from realtime.protocol.codec import encode_reply
from realtime.sockets.outbox import PreparedMessage, WriteCoalescer
from realtime.sockets.subscription import Subscriber, Subscription
from realtime.topics.cluster import Cluster
from realtime.topics.fanout import CHUNK, Turns, put_to_all

# Changes within this many seconds go into one push.
PUSH_GATHER_S = 0.2
# Bytes that a user takes in a list besides the name: the keys, an id and a number.
LISTED_USER_BYTES = 64


class _Topic:
    """A topic with watchers on this node; delivers its pushes in slices."""

    __slots__ = ("_at", "_frame", "_now", "_pushes", "is_queued", "key", "version", "watchers")

    def __init__(self, key: Key, now: "Callable[[_Topic], list[Push[Subscription]]]") -> None:
        self.key = key
        self.watchers: Watchers[Subscription] = Watchers()
        # Rises whenever a user joins or leaves.
        self.version = 0
        self.is_queued = False
        self._now = now
        # The pushes being delivered, the next one last; the message of that one; how many watchers have it.
        self._pushes: list[Push[Subscription]] | None = None
        self._frame: PreparedMessage | None = None
        self._at = 0

    def advance(self, deadline_s: float) -> bool:
        """Deliver what is due until nothing is left (True) or the clock has passed `deadline_s` (False)."""
        if self._pushes is None:
            self._pushes = self._now(self)[::-1]
        while self._pushes:
            if self._deliver(self._pushes[-1]):
                self._pushes.pop()
                self._frame, self._at = None, 0
            if self._pushes and monotonic() > deadline_s:
                return False
        self._pushes = None
        return True

    def _deliver(self, push: Push[Subscription]) -> bool:
        """Deliver `push` to its next few receivers; True when all of them have it."""
        if self._frame is None:
            payload = push.payload()
            if payload is None:
                return True
            self._frame = PreparedMessage(encode_reply(None, "presence", {"topic": self.key[1], **payload}))
        chunk = push.to[self._at : self._at + CHUNK]
        self._at += CHUNK
        due = [each for each in chunk if self.watchers.is_in(each, push.group)]
        put_to_all([each.connection.outbox for each in due], self._frame)
        return self._at >= len(push.to)


class Presence:
    """Presence of users, not of connections: a user joins with the first subscription on any node, and leaves
    with the last one and its grace.

    Used only on its event loop. The cluster must call `changed`. `clock` returns monotonic seconds.
    """

    def __init__(
        self, cluster: Cluster, coalescer: WriteCoalescer, *, clock: Callable[[], float] = monotonic
    ) -> None:
        self._cluster = cluster
        self._clock = clock
        self._turns = Turns(asyncio.get_running_loop(), coalescer)
        # The identity with which each LIVE subscription of a signed-in user began; it may be renewed later.
        self._users: dict[Subscription, Identity] = {}
        self._topics: dict[Key, _Topic] = {}
        # Watched topics that have changed; a dict for its order.
        self._due: dict[Key, None] = {}
        self._timer: asyncio.TimerHandle | None = None

    @property
    def is_empty(self) -> bool:
        """Whether nothing is kept for any subscription."""
        return not self._users and not self._topics and not self._due

    def began(self, subscription: Subscription) -> None:
        """The subscription is now LIVE, or was and is requested again: the last request decides about pushes.

        The pushes continue from what `view` returns before the next await.
        """
        identity = subscription.connection.identity
        if identity is not None and subscription not in self._users:
            self._users[subscription] = identity
            self._cluster.join(subscription.key, _user(identity))
        if subscription.wants_presence:
            self._watch(subscription)
        else:
            self._forget(subscription)

    def ended(self, subscription: Subscription, *, at_once: bool) -> None:
        """A LIVE subscription has ended. Unless `at_once`, the user's last one starts the presence grace."""
        self._forget(subscription)
        identity = self._users.pop(subscription, None)
        if identity is not None:
            self._cluster.leave(subscription.key, _user(identity), at_once=at_once)

    def removed(self, tenant: str, topic: str, user_id: UserId) -> None:
        """The user may no longer follow the topic, so their grace ends too. Called on every node."""
        self._cluster.end_grace((tenant, topic), user_id)

    def view(self, connection: Subscriber, topic: str) -> dict[str, Any]:
        """`{users: [{id, username, connections}], count}` as `connection` may see it, ordered by username."""
        return _as_json(self._roster((connection.tenant.slug, topic)), is_named=_is_named(connection))

    def list_bytes(self, subscription: Subscription) -> int:
        """Return about how many bytes `view` takes for this subscription; 0 if it is only a count."""
        count = self._cluster.count(subscription.key)
        if count > LIST_MAX_USERS or not _is_named(subscription.connection):
            return 0
        return self._cluster.username_bytes(subscription.key) + count * LISTED_USER_BYTES

    def seen(self, tenant: str, topic: str) -> dict[str, Any]:
        """As `view`, as an operator sees it."""
        return _as_json(self._roster((tenant, topic)), is_named=True)

    def changed(self, key: Key) -> None:
        """A user has joined or left the topic, on any node."""
        topic = self._topics.get(key)
        if topic is not None:
            topic.version += 1
            self._mark(key)

    def stop(self) -> None:
        """Stop pushing."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._due.clear()

    def _watch(self, subscription: Subscription) -> None:
        key = subscription.key
        topic = self._topics.get(key)
        if topic is None:
            topic = self._topics[key] = _Topic(key, self._pushes_of)
        roster, is_named = self._roster(key), _is_named(subscription.connection)
        topic.watchers.watch(subscription, roster, topic.version, is_named=is_named)
        self._look_again(topic, roster)

    def _forget(self, subscription: Subscription) -> None:
        topic = self._topics.get(subscription.key)
        if topic is None:
            return
        topic.watchers.forget(subscription)
        if not topic.watchers:
            del self._topics[subscription.key]
            self._due.pop(subscription.key, None)

    def _roster(self, key: Key) -> Roster:
        count = self._cluster.count(key)
        if count > LIST_MAX_USERS:
            return Roster(count, None)
        return Roster(count, {user.id: user for user in self._cluster.users(key)})

    def _mark(self, key: Key) -> None:
        self._due[key] = None
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(PUSH_GATHER_S, self._push)

    def _push(self) -> None:
        due, self._due, self._timer = self._due, {}, None
        for key in due:
            topic = self._topics.get(key)
            if topic is None:
                continue
            if topic.is_queued:
                # Its previous pushes are still being delivered; the new ones follow them.
                self._mark(key)
            else:
                self._turns.add(topic)

    def _pushes_of(self, topic: _Topic) -> list[Push[Subscription]]:
        roster = self._roster(topic.key)
        pushes = topic.watchers.pushes(roster, self._clock())
        self._look_again(topic, roster)
        return pushes

    def _look_again(self, topic: _Topic, roster: Roster) -> None:
        if topic.watchers.has_more(roster):
            self._mark(topic.key)


def _user(identity: Identity) -> User:
    return User(identity.user_id, identity.username)


def _is_named(connection: Subscriber) -> bool:
    return connection.identity is not None


def _as_json(roster: Roster, *, is_named: bool) -> dict[str, Any]:
    users = roster.users if is_named and roster.users is not None else {}
    return {"users": [user._asdict() for user in users.values()], "count": roster.count}
