"""Lists of this node's connections and topics: filtered and sorted here, so that only the top travels."""

from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from itertools import starmap
from typing import Any

import msgspec

from realtime.core.addresses import is_within, network_of
from realtime.core.topics import TopicKey
from realtime.node.slices import Top, in_slices
from realtime.sockets.connection import Connection
from realtime.sockets.subscription import Subscriber
from realtime.topics.cluster import Cluster
from realtime.topics.hub import Hub

Match = Callable[[Connection], bool]


class ConnectionQuery(msgspec.Struct, frozen=True):
    """A query for connections: filters, order and limit.

    `tenant` is None for all tenants. `user` is an id or a whole username, `address` an address or a network,
    `route` a path, with or without the final slash, `topic` a whole name. `search` is a part of id, username,
    address, agent or route, in any case. `sort` is a name of SORTS.
    """

    tenant: str | None = None
    user: str = ""
    route: str = ""
    address: str = ""
    topic: str = ""
    search: str = ""
    sort: str = "opened_at"
    is_descending: bool = True
    limit: int = 50


class TopicQuery(msgspec.Struct, frozen=True):
    """A query for topics: of a tenant (None: of all), with `search` in their name, in any case."""

    tenant: str | None = None
    search: str = ""


def _username(connection: Connection) -> str:
    return connection.identity.username if connection.identity is not None else ""


# Every key of one sort has the same type, so that the rows of all nodes can be compared.
SORTS: dict[str, Callable[[Connection], Any]] = {
    "id": lambda each: each.id,
    "tenant": lambda each: each.tenant.slug,
    "user": _username,
    "route": lambda each: each.route,
    "address": lambda each: each.address,
    "agent": lambda each: each.agent,
    "opened_at": lambda each: each.opened_at.timestamp(),
    "messages_in": lambda each: each.messages_in,
    "messages_out": lambda each: each.messages_out,
    "outbox_bytes": lambda each: each.outbox.held_bytes,
    "rtt_ms": lambda each: each.outbox.rtt_ms or -1.0,
    "topics": lambda each: len(each.subscriptions),
}
# The rows of one node stand together; it sorts them by id.
SORTS["node"] = SORTS["id"]


async def find_connections(
    connections: Iterable[Connection], node: str, query: ConnectionQuery
) -> tuple[int, list[tuple[Any, str]]]:
    """Return the number of connections that match, and the sort key and id of the first `query.limit`, in order."""
    matches, key = list(_matches(query)), SORTS[query.sort]
    top = Top(query.limit, is_descending=query.is_descending)
    count = 0
    async for some in in_slices(connections):
        found = [each for each in some if not each.is_closing]
        for match in matches:
            found = [each for each in found if match(each)]
        count += len(found)
        is_by_node = query.sort == "node"
        await top.add([(node if is_by_node else key(each), each.id) for each in found])
    return count, await top.rows()


def _matches(query: ConnectionQuery) -> Iterator[Match]:
    if query.tenant is not None:
        yield lambda each: each.tenant.slug == query.tenant
    if query.route:
        route = query.route.rstrip("/") + "/"
        yield lambda each: each.route == route
    if query.user:
        yield (
            lambda each: (
                each.identity is not None
                and query.user
                in {
                    str(each.identity.user_id),
                    each.identity.username,
                }
            )
        )
    if query.address:
        network = network_of(query.address)
        yield lambda each: network is not None and is_within(each.address, network)
    if query.topic:
        yield lambda each: query.topic in each.subscriptions
    if query.search:
        search = query.search.casefold()
        yield lambda each: search in _text_of(each)


def _text_of(each: Connection) -> str:
    return f"{each.id}\0{_username(each)}\0{each.address}\0{each.route}\0{each.agent}".casefold()


def describe(connection: Connection, node: str, topics_max: int) -> dict[str, Any]:
    """Return a connection as operators see it. `topics` are its first `topics_max` topics, by name."""
    identity = connection.identity
    return {
        "id": connection.id,
        "node": node,
        "tenant": connection.tenant.slug,
        "user": None if identity is None else {"id": identity.user_id, "username": identity.username},
        "route": connection.route,
        "address": connection.address,
        "agent": connection.agent,
        "opened_at": connection.opened_at.isoformat(),
        "messages_in": connection.messages_in,
        "messages_out": connection.messages_out,
        "outbox_bytes": connection.outbox.held_bytes,
        "rtt_ms": connection.outbox.rtt_ms,
        "topics": sorted(connection.subscriptions)[:topics_max],
    }


async def find_topics(
    hub: Hub, query: TopicQuery, rows_per_part: int
) -> AsyncIterator[list[tuple[str, str, int]]]:
    """Yield tenant, name and number of subscriptions of each topic that matches, in parts."""
    search = query.search.casefold()
    async for some in in_slices(hub.topics(), rows_per_part):
        yield [
            (local.key.tenant, local.key.topic, len(local.subscriptions))
            for local in some
            if query.tenant in {None, local.key.tenant} and search in local.key.topic.casefold()
        ]


async def topic_rows(hub: Hub, cluster: Cluster, keys: Sequence[tuple[str, str]]) -> list[dict[str, Any]]:
    """Return the state of topics on this node: position, users on all nodes, number of readers that are behind."""
    slow: Counter[TopicKey] = Counter()
    # All topics in one run, so that many small ones make a slice too.
    async for some in in_slices(_readers(hub, keys)):
        slow.update(key for key, reader in some if reader.outbox.is_behind)
    return [_topic_row(hub, cluster, key, slow[key]) for key in starmap(TopicKey, keys)]


def _readers(hub: Hub, keys: Iterable[tuple[str, str]]) -> Iterator[tuple[TopicKey, Subscriber]]:
    for key in starmap(TopicKey, keys):
        local = hub.topic(key)
        for reader in list(local.subscriptions) if local else ():
            yield key, reader


def _topic_row(hub: Hub, cluster: Cluster, key: TopicKey, slow: int) -> dict[str, Any]:
    local = hub.topic(key)
    return {
        "tenant": key.tenant,
        "topic": key.topic,
        "epoch": local.epoch if local else "",
        "offset": local.offset if local else 0,
        "users": cluster.count(key),
        "slow": slow,
    }
