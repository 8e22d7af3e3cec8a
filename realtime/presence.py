"""Who is subscribed to a topic: users, not connections; joined at their first, left at their last."""

from typing import Any

from realtime.connection import Connection
from realtime.engine.ports import TopicKey


class _TopicPresence:
    __slots__ = ("connections", "watchers")

    def __init__(self) -> None:
        # Connections of signed-in users, by user.
        self.connections: dict[int, set[Connection]] = {}
        # Connections that asked to be told of changes.
        self.watchers: set[Connection] = set()


class Presence:
    """The presence of the topics with subscribers in this process."""

    def __init__(self) -> None:
        self._topics: dict[TopicKey, _TopicPresence] = {}

    def subscribed(self, connection: Connection, topic: str, *, wants_pushes: bool) -> None:
        """A connection subscribed, for the first time or again."""
        key = TopicKey(connection.tenant.slug, topic)
        if connection.identity is None and not wants_pushes:
            return
        present = self._topics.setdefault(key, _TopicPresence())
        if connection.identity is not None:
            of_user = present.connections.setdefault(connection.identity.user_id, set())
            is_first = not of_user
            of_user.add(connection)
            if is_first:
                self._tell(present, connection, topic, "joined")
        if wants_pushes:
            present.watchers.add(connection)

    def unsubscribed(self, connection: Connection, topic: str) -> None:
        """A connection unsubscribed, or is over."""
        key = TopicKey(connection.tenant.slug, topic)
        present = self._topics.get(key)
        if present is None:
            return
        present.watchers.discard(connection)
        if connection.identity is not None:
            of_user = present.connections.get(connection.identity.user_id, set())
            if connection in of_user:
                of_user.discard(connection)
                if not of_user:
                    del present.connections[connection.identity.user_id]
                    self._tell(present, connection, topic, "left")
        if not present.watchers and not present.connections:
            del self._topics[key]

    def users(self, tenant: str, topic: str) -> dict[str, Any]:
        """`{users: [{id, username, connections}], count}`, by username."""
        present = self._topics.get(TopicKey(tenant, topic))
        users = (
            [_user(next(iter(each)), len(each)) for each in present.connections.values()] if present else []
        )
        users.sort(key=lambda user: str(user["username"]))
        return {"users": users, "count": len(users)}

    def _tell(self, present: _TopicPresence, about: Connection, topic: str, change: str) -> None:
        payload: dict[str, Any] = {"topic": topic, "joined": [], "left": []}
        payload[change] = [_user(about, 1 if change == "joined" else 0)]
        for watcher in present.watchers:
            if watcher is not about:
                watcher.push("presence", payload)


def _user(connection: Connection, connections: int) -> dict[str, Any]:
    identity = connection.identity
    assert identity is not None
    return {"id": identity.user_id, "username": identity.username, "connections": connections}
