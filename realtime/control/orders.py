"""The operations that operators may order: the values of each, and its execution on all nodes."""

from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from datetime import datetime
from time import time_ns
from typing import Any

import msgspec

from realtime import tables
from realtime.conf import current_settings
from realtime.control.link import Link
from realtime.control.lists import count_connections
from realtime.core.actors import Actor
from realtime.core.history import Draft
from realtime.core.position import Position
from realtime.core.topics import TopicKey, TopicRules
from realtime.node import node as nodes
from realtime.node.bans import ban_value
from realtime.node.exchange import Answers
from realtime.node.lists import ConnectionQuery
from realtime.node.operations import (
    AddBan,
    Announce,
    Disconnect,
    Drain,
    ReadTables,
    RemoveBan,
    Subscribe,
    Unsubscribe,
)
from realtime.node.recording import Recording
from realtime.protocol.codec import time_text
from realtime.protocol.errors import ErrorCode, NotInForceError, RequestError
from realtime.topics.engine.drafts import make_draft

Answer = dict[str, Any]
NOTHING: Answer = {"count": 0}
QUEUED = "The broker is away: it is in force on this node, and on the others as soon as the broker is back."


@dataclass(frozen=True, slots=True)
class Order:
    """One operation of one operator. `tenant` is a slug, or None for all tenants.

    `target` are the values of the operation by name; those of `UNRECORDED` do not go into the audit log.
    """

    name: str
    actor: Actor
    tenant: str | None
    target: Mapping[str, Any]
    reason: str = ""

    def recorded(self) -> dict[str, Any]:
        """Return the target as the audit log keeps it: plain JSON without the data of publications."""
        kept = {name: value for name, value in self.target.items() if name not in UNRECORDED}
        plain: dict[str, Any] = msgspec.to_builtins(kept)
        return plain


# Published data does not go into the audit log.
UNRECORDED = frozenset({"data", "idempotency_key"})


async def publish(link: Link, order: Order) -> Answer:
    """Publish for the server. Raises RequestError(permission_denied) if the topic's rule says `metadata`."""
    topic = order.target["topic"]
    position = await _publish(link, order, topic, order.target.get("idempotency_key"))
    return {"topic": topic, "epoch": position.epoch, "offset": position.offset}


async def broadcast(link: Link, order: Order) -> Answer:
    """Publish the same to several topics. The answers are in the order of the topics."""
    results: list[Answer] = []
    for topic in order.target["topics"]:
        try:
            position = await _publish(link, order, topic, None)
        except RequestError as error:
            results.append({"topic": topic, "error": error.payload()})
        else:
            results.append({"topic": topic, "epoch": position.epoch, "offset": position.offset})
    return {"results": results}


def record_broadcast(recording: Recording, rules: TopicRules, order: Order) -> Answer:
    """As `broadcast`, in a test that records publications instead of sending them."""
    results: list[Answer] = []
    for topic in order.target["topics"]:
        try:
            key, draft = TopicKey(order.tenant or "", topic), _draft(rules, order, topic, None)
        except RequestError as error:
            results.append({"topic": topic, "error": error.payload()})
        else:
            position = recording.add_on_commit(key, draft, None)
            where = {"epoch": position.epoch, "offset": position.offset} if position else {}
            results.append({"topic": topic, **where})
    return {"results": results}


async def disconnect(link: Link, order: Order) -> Answer:
    """Close connections with 4409."""
    target = order.target
    operation = Disconnect(
        tenant=order.tenant,
        connection_id=target.get("connection_id") or "",
        user_id=target.get("user_id") or "",
        address=target.get("address") or "",
        topic=target.get("topic") or "",
        words=order.reason,
        reconnect=target.get("reconnect", True),
    )
    return {"count": _count(await link.act_all(operation))}


async def unsubscribe(link: Link, order: Order) -> Answer:
    """End a user's subscriptions to a topic."""
    operation = Unsubscribe(tenant=order.tenant, topic=order.target["topic"], user_id=order.target["user_id"])
    return {"count": _count(await link.act_all(operation))}


async def subscribe(link: Link, order: Order) -> Answer:
    """Subscribe the open connections of a user to a topic, without asking its gates."""
    link.rules.require_operator(order.target["topic"])
    operation = Subscribe(tenant=order.tenant, topic=order.target["topic"], user_id=order.target["user_id"])
    return {"count": _count(await link.act_all(operation))}


async def announce(link: Link, order: Order) -> Answer:
    """Push an announcement to the JSON endpoints; with `preview`, only count them."""
    target = order.target
    operation = Announce(
        tenant=order.tenant,
        text=target["text"],
        level=target.get("level", "info"),
        is_preview=target.get("preview", False),
    )
    return {"count": _count(await link.act_all(operation))}


async def drain(link: Link, order: Order) -> Answer:
    """Tell a node to close its connections and accept no more; answers before it has done so."""
    return {"count": _count(await link.act_all(Drain(node=order.target["node"])))}


async def revoke(link: Link, order: Order) -> Answer:
    """End all tokens and sessions of a user. `count` are the connections that close, at least 1 for a user.

    Raises RequestError(conflict) if the authenticator cannot do it.
    """
    user_id, tenant = order.target["user_id"], order.tenant
    sign_out = getattr(nodes.current_node().authenticator, "sign_out_everywhere", None)
    if sign_out is None:
        raise RequestError(
            ErrorCode.CONFLICT, "The authenticator of this site cannot end tokens and sessions."
        )
    count = await _count_or_none(link, ConnectionQuery(tenant=tenant, user=user_id))
    if not await link.in_db(sign_out, user_id, tenant):
        return NOTHING
    return {"count": max(count, 1)}


async def ban(link: Link, order: Order) -> Answer:
    """Ban a user or an address until a time; `count` are the connections that close."""
    target = order.target
    user_id, address = target.get("user_id") or "", target.get("address") or ""
    knows_user = getattr(nodes.current_node().authenticator, "knows_user", None)
    if user_id and knows_user is not None and not await link.in_db(knows_user, user_id, order.tenant):
        return NOTHING
    row = await link.in_db(_create_ban, order, user_id, address, target["until"])
    try:
        answers = await link.act_all(AddBan(ban=ban_value(row)))
    except NotInForceError:
        # The nodes find it in the table within a second.
        return {"id": row.pk, "count": 0}
    return {"id": row.pk, "count": _told(answers)}


async def unban(link: Link, order: Order) -> Answer:
    """Lift a ban."""
    deleted = await link.in_db(_delete_ban, order.target["id"], order.tenant)
    if not deleted:
        return NOTHING
    await _act_if_possible(link, RemoveBan(ban_id=order.target["id"]))
    return {"count": 1}


async def suspend(link: Link, order: Order) -> Answer:
    """Suspend a tenant. `count` are the connections that close, at least 1 for a tenant."""
    if not await link.in_db(_set_active, order.target["slug"], is_active=False):
        return NOTHING
    return {"count": max(await _act_if_possible(link, ReadTables()), 1)}


async def resume(link: Link, order: Order) -> Answer:
    """Let a suspended tenant go on."""
    if not await link.in_db(_set_active, order.target["slug"], is_active=True):
        return NOTHING
    await _act_if_possible(link, ReadTables())
    return {"count": 1}


HANDLERS: dict[str, Callable[[Link, Order], Coroutine[Any, Any, Answer]]] = {
    "publish": publish,
    "broadcast": broadcast,
    "disconnect": disconnect,
    "unsubscribe": unsubscribe,
    "subscribe": subscribe,
    "revoke": revoke,
    "ban": ban,
    "unban": unban,
    "announce": announce,
    "drain": drain,
    "suspend": suspend,
    "resume": resume,
}


async def _publish(link: Link, order: Order, topic: str, idempotency_key: str | None) -> Position:
    return await link.publish(order.tenant or "", topic, _draft(link.rules, order, topic, idempotency_key))


def _draft(rules: TopicRules, order: Order, topic: str, idempotency_key: str | None) -> Draft:
    rules.require_operator_publish(topic)
    draft = make_draft(
        topic,
        order.target["data"],
        None,
        time=time_text(time_ns()),
        idempotency_key=idempotency_key,
        max_bytes=current_settings().PUBLICATION_BYTES,
    )
    rules.check_data(topic, draft.data)
    return draft


def _count(answers: Answers) -> int:
    """Return the sum of the nodes' counts. Raises NotInForceError if the other nodes could not be told."""
    if not answers.is_told:
        raise NotInForceError(QUEUED)
    return _told(answers)


def _told(answers: Answers) -> int:
    return sum(int(msgspec.msgpack.decode(body)) for body in answers.bodies())


async def _act_if_possible(link: Link, operation: Any) -> int:
    """Tell the nodes now; if that is not possible, they find it in the database within a second."""
    try:
        return _told(await link.act_all(operation))
    except NotInForceError:
        return 0


async def _count_or_none(link: Link, query: ConnectionQuery) -> int:
    try:
        return await count_connections(link, query)
    except NotInForceError:
        return 0


def _create_ban(order: Order, user_id: str, address: str, until: datetime) -> "tables.Ban":
    return tables.Ban.objects.create(
        tenant=order.tenant or "",
        user_id=user_id,
        address=address,
        until=until,
        reason=order.reason,
        created_by=order.actor.name,
    )


def _delete_ban(ban_id: int, tenant: str | None) -> int:
    rows = tables.Ban.objects.filter(pk=ban_id)
    if tenant is not None:
        rows = rows.filter(tenant=tenant)
    return rows.delete()[0]


def _set_active(slug: str, *, is_active: bool) -> bool:
    directory = nodes.current_node().directory
    if not directory.set_active(slug, is_active=is_active):
        return False
    directory.refresh()
    return True
