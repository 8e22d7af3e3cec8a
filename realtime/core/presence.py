"""Who is in a topic, over all nodes: users with their connections. Every node owns its part, others copy it.

A user joins with the first connection anywhere and leaves with the last. What a node tells of its own part is
numbered without holes, so that whoever misses something knows, and asks for a snapshot.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

# The tenant, and the topic of it.
Key = tuple[str, str]


class User(NamedTuple):
    """A signed-in user of the tenant."""

    id: int
    username: str


class PresentUser(NamedTuple):
    """A user and how many connections, on all nodes, are in the topic. 0: has just left."""

    id: int
    username: str
    connections: int


class Held(NamedTuple):
    """What one node holds of one user in one topic; a node's snapshot is a list of these."""

    tenant: str
    topic: str
    user_id: int
    username: str
    connections: int


@dataclass(frozen=True, slots=True)
class Diff:
    """What changed in a topic, each list by username; at least one of them holds somebody."""

    key: Key
    joined: list[PresentUser]
    left: list[PresentUser]


@dataclass(slots=True)
class _Part:
    """A node's part. `seq` numbers the last change it told of."""

    seq: int = 0
    counts: dict[Key, dict[int, int]] = field(default_factory=dict)


@dataclass(slots=True)
class _Total:
    username: str
    connections: int = 0


# The users that were looked at, by topic, and whether they were present before.
_Before = dict[Key, dict[int, tuple[str, bool]]]


class Presence:
    """The presence of all nodes as this one knows it."""

    def __init__(self) -> None:
        self._parts: dict[str, _Part] = {}
        self._totals: dict[Key, dict[int, _Total]] = {}

    def join(self, node: str, key: Key, user: User) -> Diff | None:
        """One more connection of `user` on `node`; the change, where it was the first anywhere."""
        before: _Before = {}
        self._add(node, key, user, 1, before)
        return next(iter(self._diffs(before)), None)

    def leave(self, node: str, key: Key, user: User) -> Diff | None:
        """One connection less; the change, where it was the last anywhere. None too where there was none."""
        before: _Before = {}
        self._add(node, key, user, -1, before)
        return next(iter(self._diffs(before)), None)

    def apply(self, node: str, seq: int, changes: Iterable[Held]) -> list[Diff]:
        """Message `seq` of `node`, whose `connections` are differences; ignored where late or too early."""
        part = self._parts.get(node)
        if part is None or seq != part.seq + 1:
            return []
        part.seq = seq
        before: _Before = {}
        for held in changes:
            user = User(held.user_id, held.username)
            self._add(node, (held.tenant, held.topic), user, held.connections, before)
        return self._diffs(before)

    def needs_resync(self, node: str, seq: int) -> bool:
        """Whether something that `node` told before its message `seq` is missing here."""
        part = self._parts.get(node)
        return part is None or seq > part.seq + 1

    def merge(self, node: str, seq: int, snapshot: Iterable[Held]) -> list[Diff]:
        """All that `node` held after its message `seq`, in place of what is known; ignored where older."""
        part = self._parts.get(node)
        if part is not None and seq < part.seq:
            return []
        before: _Before = {}
        self._clear(node, before)
        self._parts[node] = _Part(seq)
        for held in snapshot:
            user = User(held.user_id, held.username)
            self._add(node, (held.tenant, held.topic), user, held.connections, before)
        return self._diffs(before)

    def drop_node(self, node: str) -> list[Diff]:
        """The node is gone, and with it all its connections."""
        before: _Before = {}
        self._clear(node, before)
        self._parts.pop(node, None)
        return self._diffs(before)

    def snapshot(self, node: str) -> list[Held]:
        """All that `node` holds."""
        part = self._parts.get(node, _Part())
        return [
            Held(*key, user_id, self._totals[key][user_id].username, connections)
            for key, of_users in part.counts.items()
            for user_id, connections in of_users.items()
        ]

    def users(self, key: Key) -> list[PresentUser]:
        """Who is in the topic, by username."""
        totals = self._totals.get(key, {})
        return _by_username(
            PresentUser(user_id, total.username, total.connections) for user_id, total in totals.items()
        )

    def _add(self, node: str, key: Key, user: User, connections: int, before: _Before) -> None:
        part = self._parts.setdefault(node, _Part())
        of_users = part.counts.setdefault(key, {})
        held = of_users.get(user.id, 0)
        # A part holds no fewer than nobody, whatever another node says.
        after = max(held + connections, 0)
        totals = self._totals.setdefault(key, {})
        total = totals.setdefault(user.id, _Total(user.username))
        before.setdefault(key, {}).setdefault(user.id, (total.username, total.connections > 0))
        total.connections += after - held
        if after:
            total.username = user.username
            of_users[user.id] = after
        else:
            of_users.pop(user.id, None)
        _forget_empty(self._totals, key, user.id, is_empty=not total.connections)
        if not of_users:
            del part.counts[key]

    def _clear(self, node: str, before: _Before) -> None:
        for held in self.snapshot(node):
            user = User(held.user_id, held.username)
            self._add(node, (held.tenant, held.topic), user, -held.connections, before)

    def _diffs(self, before: _Before) -> list[Diff]:
        diffs = []
        for key, users in before.items():
            totals = self._totals.get(key, {})
            joined, left = [], []
            for user_id, (username, was_present) in users.items():
                total = totals.get(user_id)
                if total is not None and not was_present:
                    joined.append(PresentUser(user_id, total.username, total.connections))
                elif total is None and was_present:
                    left.append(PresentUser(user_id, username, 0))
            if joined or left:
                diffs.append(Diff(key, _by_username(joined), _by_username(left)))
        return diffs


def _forget_empty(totals: dict[Key, dict[int, _Total]], key: Key, user_id: int, *, is_empty: bool) -> None:
    if is_empty:
        del totals[key][user_id]
        if not totals[key]:
            del totals[key]


def _by_username(users: Iterable[PresentUser]) -> list[PresentUser]:
    return sorted(users, key=lambda user: (user.username, user.id))
