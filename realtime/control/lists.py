"""Lists over all nodes: each node filters and sorts its own rows, and the asker merges the top of them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from msgspec.structs import replace

from realtime.control.link import Link
from realtime.core.error_groups import ErrorGroup, merged
from realtime.core.topics import TopicKey
from realtime.endpoints.consumers.pubsub import HISTORY_DEFAULT_LIMIT, HISTORY_MAX_BYTES, history_payload
from realtime.node.exchange import Answers
from realtime.node.lists import SORTS, ConnectionQuery, TopicQuery
from realtime.node.operations import (
    DescribeConnections,
    DescribeNode,
    DescribeProcess,
    DescribeTopics,
    FindConnections,
    FindErrors,
    FindTopics,
)
from realtime.node.slices import Top, in_slices
from realtime.protocol.errors import ErrorCode, RequestError

PAGE_SIZE = 50
PAGE_SIZE_MAX = 500
# Topics of a connection that are named in a list, and on its own page.
TOPICS_IN_LIST = 100
TOPICS_IN_DETAIL = 10_000
TOPIC_SORTS = ("topic", "tenant", "subscribers")


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a list. `count` is the number of all rows, on the nodes that answered."""

    results: list[dict[str, Any]]
    count: int
    nodes_answered: int
    nodes_total: int

    def as_json(self) -> dict[str, Any]:
        """Return the page as the REST endpoints answer it."""
        return {
            "nodes_answered": self.nodes_answered,
            "nodes_total": self.nodes_total,
            "count": self.count,
            "results": self.results,
        }


def connection_query(
    tenant: str | None, *, sort: str = "-opened_at", q: str = "", **filters: str
) -> ConnectionQuery:
    """Return the query with these filters; raises RequestError(invalid_message) for an unknown one."""
    unknown = set(filters) - {"user", "route", "address", "topic"}
    if unknown or sort.removeprefix("-") not in SORTS:
        raise RequestError(
            ErrorCode.INVALID_MESSAGE, f"No such filter or order: {', '.join(unknown) or sort}."
        )
    texts: dict[str, Any] = {name: str(value) for name, value in filters.items()}
    return ConnectionQuery(
        tenant=tenant, search=q, sort=sort.removeprefix("-"), is_descending=sort.startswith("-"), **texts
    )


async def list_connections(link: Link, query: ConnectionQuery, page: int, page_size: int) -> Page:
    """Return a page of the open connections of all nodes. `query.limit` is ignored."""
    found = await link.read_all(FindConnections(query=replace(query, limit=page * page_size)))
    count, top = 0, Top(page * page_size, is_descending=query.is_descending)
    for body in found.bodies():
        part = msgspec.msgpack.decode(body)
        if isinstance(part, int):
            count += part
        else:
            await top.add([(key, connection_id) for key, connection_id in part])
    ids = [connection_id for _, connection_id in (await top.rows())[(page - 1) * page_size :]]
    described = await link.read_all(DescribeConnections(ids=ids, topics_max=TOPICS_IN_LIST)) if ids else found
    rows = {row["id"]: row for row in _rows(described)} if ids else {}
    # A connection may have ended since.
    results = [rows[each] for each in ids if each in rows]
    return Page(results, count, found.nodes_answered, found.nodes_total)


async def find_connection(link: Link, connection_id: str, tenant: str | None) -> dict[str, Any] | None:
    """Return one open connection with all its topics; None if it does not exist or belongs to another tenant."""
    operation = DescribeConnections(ids=[connection_id], topics_max=TOPICS_IN_DETAIL, tenant=tenant)
    return next(iter(_rows(await link.read_all(operation))), None)


async def count_connections(link: Link, query: ConnectionQuery) -> int:
    """Return how many open connections match, on the nodes that answer."""
    found = await link.read_all(FindConnections(query=replace(query, limit=0)))
    return sum(part for part in map(msgspec.msgpack.decode, found.bodies()) if isinstance(part, int))


async def list_topics(
    link: Link, query: TopicQuery, sort: str, page: int, page_size: int, *, is_descending: bool
) -> Page:
    """Return a page of the topics that have subscriptions on any node. `sort` is one of TOPIC_SORTS."""
    found = await link.read_all(FindTopics(query=query))
    subscribers: dict[tuple[str, str], int] = {}
    async for bodies in in_slices(found.bodies(), 1):
        for tenant, topic, count in msgspec.msgpack.decode(bodies[0]):
            subscribers[tenant, topic] = subscribers.get((tenant, topic), 0) + count
    top = Top(page * page_size, is_descending=is_descending)
    async for some in in_slices(subscribers.items()):
        await top.add([_topic_key(sort, key, count) for key, count in some])
    keys = [(row[-2], row[-1]) for row in (await top.rows())[(page - 1) * page_size :]]
    results = await _describe_topics(link, keys)
    for row in results:
        row["subscribers"] = subscribers[row["tenant"], row["topic"]]
    return Page(results, len(subscribers), found.nodes_answered, found.nodes_total)


async def topic_page(link: Link, tenant: str | None, q: str, sort: str, page: int, page_size: int) -> Page:
    """As `list_topics`, with a `-` before a descending order; raises RequestError(invalid_message) for an unknown one."""
    if sort.removeprefix("-") not in TOPIC_SORTS:
        raise RequestError(ErrorCode.INVALID_MESSAGE, f"Expected a sort of: {', '.join(TOPIC_SORTS)}.")
    query = TopicQuery(tenant=tenant, search=q)
    return await list_topics(
        link, query, sort.removeprefix("-"), page, page_size, is_descending=sort.startswith("-")
    )


async def list_nodes(link: Link, tenant: str | None) -> Page:
    """Return all nodes, also those that did not answer; `tenant` limits the figures to one tenant."""
    found = await link.read_all(DescribeNode(tenant=tenant))
    rows = {row["id"]: {**row, "answered": True} for row in _described(found)}
    silent = sorted(found.expected - found.finished)
    results = [rows[each] for each in sorted(rows)] + [{"id": each, "answered": False} for each in silent]
    return Page(results, len(results), found.nodes_answered, found.nodes_total)


async def find_node(link: Link, node: str) -> dict[str, Any] | None:
    """Return what the process of a node runs with; None if it does not answer, or does not exist."""
    found = await link.read_all(DescribeProcess(node=node))
    return next((row for row in _described(found) if row), None)


async def list_errors(link: Link, tenant: str | None) -> Page:
    """Return the last errors of all nodes in groups, the one that was seen last first."""
    found = await link.read_all(FindErrors(tenant=tenant))
    decode = msgspec.msgpack.Decoder(list[ErrorGroup]).decode
    rows = merged(group for body in found.bodies() for group in decode(body))
    results = [{name: getattr(row, name) for name in row.__struct_fields__} for row in rows]
    return Page(results, len(results), found.nodes_answered, found.nodes_total)


async def read_history(
    link: Link, tenant: str, topic: str, limit: int = HISTORY_DEFAULT_LIMIT
) -> dict[str, Any]:
    """Return the newest publications of a topic.

    Raises RequestError(permission_denied) if its rule keeps its data from operators.
    """
    link.rules.require_operator(topic)
    page = await link.history.latest(TopicKey(tenant, topic), limit, HISTORY_MAX_BYTES)
    payload = history_payload(topic, page, is_newest=True)
    # The data as plain values: they are kept as JSON text.
    plain: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(payload))
    return plain


async def read_presence(link: Link, tenant: str, topic: str) -> dict[str, Any]:
    """Return `{topic, users, count}`, as on a socket."""
    link.rules.rule(topic)
    return {"topic": topic, **await link.presence_of(tenant, topic)}


async def _describe_topics(link: Link, keys: Sequence[tuple[str, str]]) -> list[dict[str, Any]]:
    if not keys:
        return []
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for row in _rows(await link.read_all(DescribeTopics(keys=list(keys)))):
        known = rows.setdefault((row["tenant"], row["topic"]), row)
        if known is not row:
            # The same topic on another node, which may be a little behind.
            known["slow"] += row["slow"]
            if row["offset"] > known["offset"] or not known["epoch"]:
                known.update(epoch=row["epoch"], offset=row["offset"])
            known["users"] = max(known["users"], row["users"])
    return [rows[key] for key in keys if key in rows]


def _topic_key(sort: str, key: tuple[str, str], count: int) -> tuple[Any, ...]:
    tenant, topic = key
    return {
        "topic": (topic, tenant, topic),
        "tenant": (tenant, topic),
        "subscribers": (count, tenant, topic),
    }[sort]


def _rows(answers: Answers) -> Iterable[dict[str, Any]]:
    for body in answers.bodies():
        yield from msgspec.msgpack.decode(body)


def _described(answers: Answers) -> Iterable[dict[str, Any]]:
    for body in answers.bodies():
        yield msgspec.msgpack.decode(body)
