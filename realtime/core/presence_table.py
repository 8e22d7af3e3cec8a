"""The users in each topic on all nodes, with their connections. Every node owns its part;
the others have copies of it.

A user is present while connected to any node, and for a grace after the last connection was lost without
unsubscribing. A node reports the current state of its part in messages with consecutive numbers. A node that
misses one asks for a snapshot.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

from realtime.core.identity import UserId
from realtime.core.lapses import Lapses

T = TypeVar("T")

# How long a user stays present after the last connection ends without `unsubscribe`, in seconds. A page
# reload takes less time, so it does not count as leaving.
PRESENCE_GRACE_S = 10.0
# The end of a grace is rounded up to a multiple of this, in seconds.
LAPSE_STEP_S = 0.25
# Users of this node in their grace, counted once for each topic. Above either bound, users
# leave without a grace.
MAX_LINGERING = 100_000
MAX_LINGERING_PER_USER = 1_000

# Reports of other nodes are applied in steps of this many users, so that other work is not held up.
TAKEN_AT_ONCE = 500

# Tenant and topic.
Key = tuple[str, str]


class User(NamedTuple):
    """A signed-in user of the tenant."""

    id: UserId
    username: str


class PresentUser(NamedTuple):
    """A user and the number of their connections in the topic, on all nodes. 0 means in the
    grace, or just left."""

    id: UserId
    username: str
    connections: int


class Held(NamedTuple):
    """The state of one user in one topic on one node; a node's snapshot is a list of these.

    If there are no connections, the user stays for `lingers_s` more seconds. 0.0 means that the user left
    explicitly, or lost the right.
    """

    tenant: str
    topic: str
    user_id: UserId
    username: str
    connections: int
    lingers_s: float = 0.0


class _Entry(NamedTuple):
    """One user in one part. Without connections, the user stays until `until_s`."""

    connections: int
    until_s: float = 0.0


class _Dropped(NamedTuple):
    """A user who is missing from a node's new snapshot."""

    key: Key
    user_id: UserId


@dataclass(slots=True)
class _Part:
    """The part of one node. `seq` is the number of its last message; None if the node is gone.

    `news` holds its reports that are not applied yet, in order.
    """

    seq: int | None
    held: dict[Key, dict[UserId, _Entry]] = field(default_factory=dict)
    news: deque[Held | _Dropped] = field(default_factory=deque)


@dataclass(slots=True)
class _Total:
    """One user over all parts; `holders` is the number of parts that hold the user."""

    username: str
    connections: int = 0
    holders: int = 0


# Topics that a user has joined or left; a dict keeps the order.
Changed = dict[Key, None]


class PresenceTable:
    """The presence on all nodes as node `own` knows it. Times are this node's monotonic seconds."""

    def __init__(self, own: str) -> None:
        self._own = own
        self._parts: dict[str, _Part] = {own: _Part(0)}
        self._totals: dict[Key, dict[UserId, _Total]] = {}
        # Nodes whose news are not applied yet; a dict keeps the order.
        self._behind: dict[str, None] = {}
        self._lapses: Lapses[tuple[str, Key, UserId]] = Lapses(LAPSE_STEP_S)
        # The number of topics in which a user of this node is in the grace, by tenant and user.
        self._lingering: dict[tuple[str, UserId], int] = {}
        self._lingering_count = 0

    @property
    def has_news(self) -> bool:
        """Whether reports of other nodes are not applied yet; call `take_in` to continue."""
        return bool(self._behind)

    @property
    def is_empty(self) -> bool:
        """Whether no user is present and nothing is kept for nodes that are gone."""
        is_idle = not self._lapses and not self._lingering and not self._lingering_count and not self._behind
        return is_idle and not self._totals and all(part.seq is not None for part in self._parts.values())

    def users(self, key: Key) -> list[PresentUser]:
        """The users in the topic, ordered by username."""
        totals = self._totals.get(key, {})
        return by_username(
            PresentUser(user_id, total.username, total.connections) for user_id, total in totals.items()
        )

    def count(self, key: Key) -> int:
        """The number of users in the topic."""
        return len(self._totals.get(key, ()))

    def username_bytes(self, key: Key) -> int:
        """Return how many bytes the usernames of the users in the topic take together."""
        return sum(len(total.username.encode()) for total in self._totals.get(key, {}).values())

    def join(self, key: Key, user: User) -> bool:
        """Count one more connection of `user` on this node; True if the user was not present before."""
        before = self._entry(self._own, key, user.id)
        return self._put(self._own, key, user, _Entry(before.connections + 1))

    def leave(self, key: Key, user: User, *, at_once: bool, now_s: float) -> bool:
        """Count one connection less on this node, if there is one; True if the user is no longer present."""
        connections = self._entry(self._own, key, user.id).connections
        if connections > 1:
            return self._put(self._own, key, user, _Entry(connections - 1))
        if not connections:
            return False
        if at_once or not self._may_linger(key, user.id):
            return self._end(self._own, key, user.id)
        return self._put(self._own, key, user, _Entry(0, now_s + PRESENCE_GRACE_S))

    def end_grace(self, key: Key, user_id: UserId) -> bool:
        """End the grace of a user who was removed from the topic; True if the user is no longer present."""
        if self._entry(self._own, key, user_id).connections:
            return False
        return self._end(self._own, key, user_id)

    def held(self, key: Key, user_id: UserId, now_s: float) -> Held:
        """The current state of one user on this node."""
        entry = self._entry(self._own, key, user_id)
        total = self._totals.get(key, {}).get(user_id)
        return _as_held(key, user_id, total.username if total else "", entry, now_s)

    def snapshot(self, now_s: float) -> list[Held]:
        """The current state of all users on this node."""
        return [
            _as_held(key, user_id, self._totals[key][user_id].username, entry, now_s)
            for key, entries in self._parts[self._own].held.items()
            for user_id, entry in entries.items()
        ]

    def needs_resync(self, node: str, seq: int) -> bool:
        """Whether a message of `node` before its message `seq` is missing here."""
        part = self._parts.get(node)
        return part is None or part.seq is None or seq > part.seq + 1

    def apply(self, node: str, seq: int, changes: Iterable[Held], now_s: float) -> Changed:
        """Accept message `seq` of `node` and apply it as `take_in` does; ignored unless it
        is the next one."""
        part = self._parts.get(node)
        if part is None or part.seq is None or seq != part.seq + 1:
            return {}
        part.seq = seq
        part.news.extend(changes)
        return self._hear(node, now_s)

    def merge(self, node: str, seq: int, snapshot: Sequence[Held], now_s: float) -> Changed:
        """Replace the part of `node` by its snapshot after its message `seq`, and apply it as `take_in` does.

        Ignored if the snapshot is older than what is known.
        """
        part = self._parts.setdefault(node, _Part(None))
        if part.seq is not None and seq < part.seq:
            return {}
        part.seq = seq
        part.news = deque(held for held in snapshot if held.connections > 0 or held.lingers_s > 0)
        kept = {((held.tenant, held.topic), held.user_id) for held in snapshot}
        part.news.extend(
            _Dropped(key, user_id)
            for key, entries in part.held.items()
            for user_id in entries
            if (key, user_id) not in kept
        )
        return self._hear(node, now_s)

    def node_gone(self, node: str, last_beat_s: float, now_s: float) -> Changed:
        """Record that a node is gone. Its users stay for the grace, counted from its last beat.

        Applied as `take_in` does.
        """
        part = self._parts.get(node)
        if part is None:
            return {}
        part.seq = None
        lingers_s = max(last_beat_s + PRESENCE_GRACE_S - now_s, LAPSE_STEP_S)
        told = [
            each._replace(connections=0, lingers_s=lingers_s)
            if isinstance(each, Held) and each.connections
            else each
            for each in part.news
        ]
        part.news = deque(
            Held(*key, user_id, "", 0, lingers_s)
            for key, entries in part.held.items()
            for user_id, each in entries.items()
            if each.connections
        )
        part.news.extend(told)
        return self._hear(node, now_s)

    def take_in(self, now_s: float) -> Changed:
        """Apply reports of other nodes, at most TAKEN_AT_ONCE users in one call; returns
        the changed topics."""
        changed: Changed = {}
        for _ in range(TAKEN_AT_ONCE):
            node = next(iter(self._behind), None)
            if node is None:
                break
            news = self._parts[node].news
            if news and (key := self._take_in(node, news.popleft(), now_s)) is not None:
                changed[key] = None
            if not news:
                self._behind.pop(node, None)
                self._forget_if_over(node)
        return changed

    def next_lapse_s(self) -> float | None:
        """The time at which `lapse` should be called next; None if no grace is running."""
        return self._lapses.next_s()

    def lapse(self, now_s: float, limit: int) -> Changed:
        """End the graces that are over, at most `limit` in one call. Every node does this by itself."""
        changed: Changed = {}
        for node, key, user_id in self._lapses.due(now_s, limit):
            if self._put(node, key, User(user_id, ""), None):
                changed[key] = None
        return changed

    def _hear(self, node: str, now_s: float) -> Changed:
        self._behind[node] = None
        return self.take_in(now_s)

    def _take_in(self, node: str, news: Held | _Dropped, now_s: float) -> Key | None:
        """Apply one report; returns the topic if a user joined or left it."""
        if isinstance(news, _Dropped):
            key, has_changed = news.key, self._put(node, news.key, User(news.user_id, ""), None)
        else:
            key = (news.tenant, news.topic)
            has_changed = self._take_in_held(node, key, news, now_s)
        return key if has_changed else None

    def _take_in_held(self, node: str, key: Key, held: Held, now_s: float) -> bool:
        user = User(held.user_id, held.username)
        if held.connections > 0:
            return self._put(node, key, user, _Entry(held.connections))
        # Another node cannot extend the grace.
        lingers_s = min(held.lingers_s, PRESENCE_GRACE_S)
        if lingers_s > 0:
            return self._put(node, key, user, _Entry(0, now_s + lingers_s))
        return self._end(node, key, user.id)

    def _may_linger(self, key: Key, user_id: UserId) -> bool:
        of_user = self._lingering.get((key[0], user_id), 0)
        return self._lingering_count < MAX_LINGERING and of_user < MAX_LINGERING_PER_USER

    def _end(self, node: str, key: Key, user_id: UserId) -> bool:
        """The last connection on `node` left explicitly: this also ends the user's graces
        on all other nodes."""
        has_changed = False
        for name in list(self._parts):
            if name == node or not self._entry(name, key, user_id).connections:
                has_changed |= self._put(name, key, User(user_id, ""), None)
        return has_changed

    def _entry(self, node: str, key: Key, user_id: UserId) -> _Entry:
        return self._parts[node].held.get(key, {}).get(user_id, _NOTHING)

    def _put(self, node: str, key: Key, user: User, entry: _Entry | None) -> bool:
        """Set the state of `user` on `node`; True if the user became present or absent."""
        held = self._parts[node].held
        before = held.get(key, {}).get(user.id)
        if before == entry:
            return False
        if entry is not None:
            held.setdefault(key, {})[user.id] = entry
        else:
            _take_out(held, key, user.id)
        self._keep_graces(node, key, user.id, before, entry)
        has_changed = self._count(key, user, before, entry)
        self._forget_if_over(node)
        return has_changed

    def _count(self, key: Key, user: User, before: _Entry | None, entry: _Entry | None) -> bool:
        totals = self._totals.setdefault(key, {})
        total = totals.setdefault(user.id, _Total(user.username))
        had_holders = total.holders > 0
        total.holders += (entry is not None) - (before is not None)
        total.connections += (entry or _NOTHING).connections - (before or _NOTHING).connections
        if entry is not None and entry.connections:
            total.username = user.username
        if not total.holders:
            _take_out(self._totals, key, user.id)
        return had_holders != (total.holders > 0)

    def _keep_graces(
        self, node: str, key: Key, user_id: UserId, before: _Entry | None, entry: _Entry | None
    ) -> None:
        if before is not None and not before.connections:
            self._lapses.discard((node, key, user_id), before.until_s)
            self._count_lingering(node, key, user_id, -1)
        if entry is not None and not entry.connections:
            self._lapses.add((node, key, user_id), entry.until_s)
            self._count_lingering(node, key, user_id, 1)

    def _count_lingering(self, node: str, key: Key, user_id: UserId, change: int) -> None:
        if node != self._own:
            return
        self._lingering_count += change
        of_user = self._lingering.pop((key[0], user_id), 0) + change
        if of_user:
            self._lingering[key[0], user_id] = of_user

    def _forget_if_over(self, node: str) -> None:
        part = self._parts.get(node)
        if part is not None and part.seq is None and not part.held and not part.news:
            del self._parts[node]
            self._behind.pop(node, None)


_NOTHING = _Entry(0)


def by_username(users: Iterable[PresentUser]) -> list[PresentUser]:
    """The users in the order in which clients receive them."""
    return sorted(users, key=lambda user: (user.username, str(user.id)))


def _as_held(key: Key, user_id: UserId, username: str, entry: _Entry, now_s: float) -> Held:
    lingers_s = 0.0 if entry.connections else max(entry.until_s - now_s, 0.0)
    return Held(*key, user_id, username, entry.connections, lingers_s)


def _take_out(table: dict[Key, dict[UserId, T]], key: Key, user_id: UserId) -> None:
    users = table[key]
    del users[user_id]
    if not users:
        del table[key]
