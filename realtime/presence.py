"""Who is subscribed to a topic, for the connections of this process: the cluster knows who is where on all nodes."""

from typing import Any

from realtime.cluster import Cluster
from realtime.connection import Connection
from realtime.core.presence import Diff, Key, PresentUser, User
from realtime.subscription import Subscription


class Presence:
    """Users, not connections: joined at their first anywhere, left at their last. Those who watch are told."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        # Connections of signed-in users that count as present, and those that asked to be told of changes.
        self._present: dict[Key, set[Connection]] = {}
        self._watchers: dict[Key, set[Connection]] = {}

    def began(self, subscription: Subscription) -> None:
        """A connection subscribed, for the first time or again."""
        connection, key = subscription.connection, subscription.key
        user = _user(connection)
        if user is not None and connection not in self._present.get(key, ()):
            self._present.setdefault(key, set()).add(connection)
            self._tell(self._cluster.join(key, user), connection)
        if subscription.wants_presence:
            self._watchers.setdefault(key, set()).add(connection)

    def ended(self, subscription: Subscription, *, at_once: bool) -> None:
        """A subscription is over."""
        connection, key = subscription.connection, subscription.key
        _take_out(self._watchers, key, connection)
        user = _user(connection)
        if _take_out(self._present, key, connection) and user is not None:
            self._tell(self._cluster.leave(key, user), connection)

    def view(self, connection: Connection, topic: str) -> dict[str, Any]:
        """`{users: [{id, username, connections}], count}`, by username."""
        users = _as_json(self._cluster.users((connection.tenant.slug, topic)))
        return {"users": users, "count": len(users)}

    def changed(self, diff: Diff) -> None:
        """Somebody joined or left on another node."""
        self._tell(diff, None)

    def _tell(self, diff: Diff | None, about: Connection | None) -> None:
        if diff is None or diff.key not in self._watchers:
            return
        payload = {"topic": diff.key[1], "joined": _as_json(diff.joined), "left": _as_json(diff.left)}
        for watcher in self._watchers[diff.key]:
            if watcher is not about:
                watcher.push("presence", payload)


def _user(connection: Connection) -> User | None:
    identity = connection.identity
    return User(identity.user_id, identity.username) if identity is not None else None


def _take_out(table: dict[Key, set[Connection]], key: Key, connection: Connection) -> bool:
    connections = table.get(key)
    if connections is None or connection not in connections:
        return False
    connections.discard(connection)
    if not connections:
        del table[key]
    return True


def _as_json(users: list[PresentUser]) -> list[dict[str, Any]]:
    return [user._asdict() for user in users]
