"""What operators do, carried out on this node: each operation is a message that every node gets."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator
from typing import Any, Protocol

import msgspec

from realtime.core.addresses import is_within, network_of
from realtime.core.bans import Ban
from realtime.core.identity import user_ids_of
from realtime.core.topics import TopicKey
from realtime.node.bans import BanBook
from realtime.node.credentials import Credentials
from realtime.node.description import Described, describe_process
from realtime.node.figures import Reporter
from realtime.node.joining import Joined, Joiner, JoinRequest
from realtime.node.lists import (
    ConnectionQuery,
    TopicQuery,
    describe,
    find_connections,
    find_topics,
    topic_rows,
)
from realtime.node.slices import in_slices
from realtime.protocol.close_codes import CloseCode, operator_reason
from realtime.protocol.codec import encode_reply
from realtime.protocol.errors import ErrorCode
from realtime.sockets.connection import Connection
from realtime.sockets.outbox import PreparedMessage
from realtime.topics.cluster import Cluster
from realtime.topics.fanout import put_to_all
from realtime.topics.hub import Hub
from realtime.topics.presence import Presence

# Rows in one message between nodes.
ROWS_PER_PART = 1000
# Connections that are described between two looks at the clock: each may have 1000 topics to be sorted.
DESCRIBED_PER_STEP = 10
UNSUBSCRIBED_REASON = "ended by an operator"


class _Operation(msgspec.Struct, frozen=True, tag=True):
    """`tenant` is a slug, or None for all tenants."""

    tenant: str | None = None


class Disconnect(_Operation, frozen=True):
    """Close connections with 4409: those that match the one field that is set, or all."""

    connection_id: str = ""
    user_id: str = ""
    address: str = ""
    topic: str = ""
    words: str = ""
    reconnect: bool = True


class Unsubscribe(_Operation, frozen=True):
    """End a user's subscriptions to a topic."""

    topic: str = ""
    user_id: str = ""


class Subscribe(_Operation, frozen=True):
    """Subscribe a user's connections to a topic, without asking its gates."""

    topic: str = ""
    user_id: str = ""


class Announce(_Operation, frozen=True):
    """Push an announcement to the JSON endpoints. `is_preview`: only count them."""

    text: str = ""
    level: str = "info"
    is_preview: bool = False


class AddBan(_Operation, frozen=True):
    """Put a ban in force, which is stored already, and close the connections that it ends."""

    ban: Ban = msgspec.field(default_factory=lambda: Ban(0, "", "", "", 0.0, ""))


class RemoveBan(_Operation, frozen=True):
    """Lift a ban that was deleted."""

    ban_id: int = 0


class ReadTables(_Operation, frozen=True):
    """Read tenants, revocations, bans and quotas again, now."""


class Drain(_Operation, frozen=True):
    """The node with this id accepts no more connections and closes its own."""

    node: str = ""


class FindConnections(_Operation, frozen=True):
    """The first rows of a list of connections: sort keys and ids."""

    query: ConnectionQuery = ConnectionQuery()


class DescribeConnections(_Operation, frozen=True):
    """The connections with these ids. `topics_max` bounds the topics that are named of each."""

    ids: list[str] = []
    topics_max: int = 0


class FindTopics(_Operation, frozen=True):
    """The topics with subscriptions: names and number of subscriptions."""

    query: TopicQuery = TopicQuery()


class DescribeTopics(_Operation, frozen=True):
    """The state of these topics on a node; each topic is [tenant, name]."""

    keys: list[tuple[str, str]] = []


class DescribeNode(_Operation, frozen=True):
    """A node's description of itself."""


class DescribeProcess(_Operation, frozen=True):
    """Return the environment of the node with this id: versions, settings without secrets, broker, database."""

    node: str = ""


class FindErrors(_Operation, frozen=True):
    """The last errors of a node, in groups."""


class SeePresence(_Operation, frozen=True):
    """The users in a topic, on all nodes; every node knows them."""

    topic: str = ""


Operation = (
    Disconnect
    | Unsubscribe
    | Subscribe
    | Announce
    | AddBan
    | RemoveBan
    | ReadTables
    | Drain
    | FindConnections
    | DescribeConnections
    | FindTopics
    | DescribeTopics
    | DescribeNode
    | DescribeProcess
    | FindErrors
    | SeePresence
)
_decoder: msgspec.msgpack.Decoder[Any] = msgspec.msgpack.Decoder(Operation)


def encode(operation: Any) -> bytes:
    """Return an operation in the form that nodes receive."""
    return msgspec.msgpack.encode(operation)


class Here(Described, Protocol):
    """The parts of a node that operations act on."""

    connections: dict[str, Connection]
    credentials: Credentials
    bans: BanBook
    hub: Hub
    presence: Presence
    cluster: Cluster
    joiner: Joiner
    figures: Reporter

    async def drain(self) -> None:
        """Accept no new connections and close the open ones."""
        ...

    def spawn(self, work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        """Run `work` as a task of this process."""
        ...


class Operations:
    """Carries out operations on one node. Used only on its event loop."""

    def __init__(self, here: Here) -> None:
        self._here = here
        self._acts: dict[type, Callable[[Any], Coroutine[Any, Any, int]]] = {
            Disconnect: self._disconnect,
            Unsubscribe: self._unsubscribe,
            Subscribe: self._subscribe,
            Announce: self._announce,
            AddBan: self._add_ban,
            RemoveBan: self._remove_ban,
            ReadTables: self._read_tables,
            Drain: self._drain,
        }
        self._reads: dict[type, Callable[[Any], AsyncIterator[Any]]] = {
            FindConnections: self._find_connections,
            DescribeConnections: self._describe_connections,
            FindTopics: self._find_topics,
            DescribeTopics: self._describe_topics,
            DescribeNode: self._describe_node,
            DescribeProcess: self._describe_process,
            FindErrors: self._find_errors,
            SeePresence: self._see_presence,
        }

    async def perform(self, body: bytes) -> AsyncIterator[bytes]:
        """Carry out an encoded operation. An action yields its count, a read its rows in parts."""
        operation = _decoder.decode(body)
        act = self._acts.get(type(operation))
        if act is not None:
            yield msgspec.msgpack.encode(await act(operation))
            return
        async for part in self._reads[type(operation)](operation):
            yield msgspec.msgpack.encode(part)

    async def _find_connections(self, operation: FindConnections) -> AsyncIterator[Any]:
        query = operation.query
        count, rows = await find_connections(self._chosen(query), self._here.id, query)
        yield count
        for at in range(0, len(rows), ROWS_PER_PART):
            yield rows[at : at + ROWS_PER_PART]

    async def _describe_connections(self, operation: DescribeConnections) -> AsyncIterator[Any]:
        found = (self._here.connections.get(each) for each in operation.ids)
        rows: list[Any] = []
        async for some in in_slices(found, DESCRIBED_PER_STEP):
            rows += [
                describe(each, self._here.id, operation.topics_max)
                for each in some
                if each is not None and operation.tenant in {None, each.tenant.slug}
            ]
        yield rows

    async def _find_topics(self, operation: FindTopics) -> AsyncIterator[Any]:
        async for rows in find_topics(self._here.hub, operation.query, ROWS_PER_PART):
            yield rows

    async def _describe_topics(self, operation: DescribeTopics) -> AsyncIterator[Any]:
        yield await topic_rows(self._here.hub, self._here.cluster, operation.keys)

    async def _describe_node(self, operation: DescribeNode) -> AsyncIterator[Any]:
        yield self._here.figures.describe(operation.tenant)

    async def _describe_process(self, operation: DescribeProcess) -> AsyncIterator[Any]:
        yield describe_process(self._here) if operation.node == self._here.id else None

    async def _find_errors(self, operation: FindErrors) -> AsyncIterator[Any]:
        yield self._here.metrics.last_errors.groups(operation.tenant)

    async def _see_presence(self, operation: SeePresence) -> AsyncIterator[Any]:
        yield self._here.presence.seen(operation.tenant or "", operation.topic)

    def _chosen(self, query: ConnectionQuery) -> Iterable[Connection]:
        """Return a small superset of the connections that the query finds, if there is an index for it; otherwise all."""
        if query.topic and query.tenant is not None:
            return self._subscribers(query.tenant, query.topic)
        return list(self._here.connections.values())

    def _subscribers(self, tenant: str, topic: str) -> list[Connection]:
        local = self._here.hub.topic(TopicKey(tenant, topic))
        # On a node every subscriber is a connection.
        subscribers: Iterable[Any] = local.subscriptions if local else ()
        return list(subscribers)

    async def _disconnect(self, operation: Disconnect) -> int:
        reason = operator_reason(operation.words, reconnect=operation.reconnect)
        count = 0
        async for some in in_slices(self._targets(operation)):
            for connection in some:
                if operation.tenant in {None, connection.tenant.slug} and not connection.is_closing:
                    connection.close(CloseCode.ENDED_BY_OPERATOR, reason)
                    count += 1
        return count

    def _targets(self, operation: Disconnect) -> Iterable[Connection]:
        here = self._here
        if operation.connection_id:
            found = here.connections.get(operation.connection_id)
            return [] if found is None else [found]
        if operation.user_id:
            return here.credentials.connections_named(operation.user_id)
        if operation.topic:
            return self._subscribers(operation.tenant or "", operation.topic)
        everyone = list(here.connections.values())
        if not operation.address:
            return everyone
        network = network_of(operation.address)
        return (each for each in everyone if network and is_within(each.address, network))

    async def _unsubscribe(self, operation: Unsubscribe) -> int:
        count = 0
        for connection in self._of_user(operation.tenant, operation.user_id):
            subscription = connection.subscriptions.get(operation.topic)
            if subscription is not None:
                self._here.hub.drop(subscription, ErrorCode.PERMISSION_DENIED, UNSUBSCRIBED_REASON)
                count += 1
        for user_id in user_ids_of(operation.user_id):
            self._here.presence.removed(operation.tenant or "", operation.topic, user_id)
        return count

    async def _subscribe(self, operation: Subscribe) -> int:
        count = 0
        for connection in self._of_user(operation.tenant, operation.user_id):
            if not connection.has_topics or connection.is_closing:
                continue
            wish = JoinRequest(operation.topic, None, wants_presence=False)
            if operation.topic in connection.subscriptions:
                continue
            [outcome] = await self._here.joiner.join(connection, [wish], is_granted=True)
            if isinstance(outcome, Joined):
                # Before the next await, so that it comes before the first publication.
                connection.push("subscribed", _subscribed(operation.topic, outcome))
                count += 1
        return count

    async def _announce(self, operation: Announce) -> int:
        payload = {"text": operation.text, "level": operation.level}
        message = PreparedMessage(encode_reply(None, "announcement", payload))
        count = 0
        async for some in in_slices(list(self._here.connections.values())):
            told = [
                each
                for each in some
                if each.is_json and not each.is_closing and operation.tenant in {None, each.tenant.slug}
            ]
            count += len(told)
            if not operation.is_preview:
                put_to_all([each.outbox for each in told], message)
        return count

    async def _add_ban(self, operation: AddBan) -> int:
        return await self._here.bans.add(operation.ban)

    async def _remove_ban(self, operation: RemoveBan) -> int:
        self._here.bans.remove(operation.ban_id)
        return 0

    async def _read_tables(self, operation: ReadTables) -> int:
        return await self._here.credentials.read_now()

    async def _drain(self, operation: Drain) -> int:
        if operation.node != self._here.id:
            return 0
        self._here.spawn(self._here.drain())
        return 1

    def _of_user(self, tenant: str | None, user_id: str) -> Iterator[Connection]:
        for connection in self._here.credentials.connections_named(user_id):
            if tenant in {None, connection.tenant.slug}:
                yield connection


def _subscribed(topic: str, joined: Joined) -> dict[str, Any]:
    position = joined.position
    return {
        "topic": topic,
        "epoch": position.epoch,
        "offset": position.offset,
        "recovered": None,
        "publications": [],
    }
