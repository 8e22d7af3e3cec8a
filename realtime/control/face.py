"""Control from Python: the functions that the rest of a Django project calls, from any thread and any process.

Each function has an `async` twin with the prefix `a`, for the event loop. In a process that serves no sockets
they reach the nodes over the broker. Without a broker they raise NotInForceError, except for those that write
to the database: `ban`, `unban`, `revoke_user`, `suspend_tenant`, `resume_tenant`. The nodes find such a
change within a second.

`tenant` is a slug; "" is the only tenant of a site, and where None may be given it means all tenants. Actions that take
something away from users are recorded in the audit log; `broadcast`, `subscribe` and `unsubscribe` are not. With the
`actor` of a request (`session_actor(request)`) all are, and an operator who may not give the order gets
RequestError: permission_denied, or not_found for another tenant. Inside
a transaction of the default database a synchronous function that acts does so after the commit, and returns 0 or
an empty list. A failure then is logged and does not reach the caller.
"""

from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID

from realtime.control import lists, orders, service
from realtime.control.link import Link, acall, call
from realtime.control.orders import Answer, Order
from realtime.core.actors import CODE, Actor
from realtime.core.history import Publisher
from realtime.core.position import Position
from realtime.core.topics import TopicKey
from realtime.node.commits import current_commits
from realtime.node.node import current_node
from realtime.node.ports import only_slug
from realtime.node.recording import current_recording
from realtime.protocol.errors import ErrorCode, RequestError

# The primary key of a user.
UserKey = int | str | UUID


def broadcast(topics: Sequence[str], data: Any, *, tenant: str = "", actor: Actor = CODE) -> list[Answer]:
    """Publish the same to several topics. Returns `{topic, epoch, offset}` or `{topic, error}` of each."""
    order = _order("broadcast", tenant, actor=actor, topics=list(topics), data=data)
    if (recording := current_recording()) is not None:
        return list(orders.record_broadcast(recording, current_node().rules, order)["results"])
    answer = _after_commit(_unrecorded(order))
    return [] if answer is None else list(answer["results"])


async def abroadcast(
    topics: Sequence[str], data: Any, *, tenant: str = "", actor: Actor = CODE
) -> list[Answer]:
    """As `broadcast`, at once."""
    order = _order("broadcast", tenant, actor=actor, topics=list(topics), data=data)
    if (recording := current_recording()) is not None:
        return list(orders.record_broadcast(recording, current_node().rules, order)["results"])
    return list((await acall(_unrecorded(order)))["results"])


def subscribe(topic: str, *, user_id: UserKey, tenant: str = "", actor: Actor = CODE) -> int:
    """Subscribe a user's open connections to a topic, without asking its gates; returns how many it subscribed."""
    order = _order("subscribe", tenant, actor=actor, topic=topic, user_id=str(user_id))
    return _count(_after_commit(_unrecorded(order)))


async def asubscribe(topic: str, *, user_id: UserKey, tenant: str = "", actor: Actor = CODE) -> int:
    """As `subscribe`."""
    order = _order("subscribe", tenant, actor=actor, topic=topic, user_id=str(user_id))
    return _count(await acall(_unrecorded(order)))


def unsubscribe(topic: str, *, user_id: UserKey, tenant: str = "", actor: Actor = CODE) -> int:
    """End a user's subscriptions to a topic; the clients get `unsubscribed`. Returns the number of subscriptions."""
    order = _order("unsubscribe", tenant, actor=actor, topic=topic, user_id=str(user_id))
    return _count(_after_commit(_unrecorded(order)))


async def aunsubscribe(topic: str, *, user_id: UserKey, tenant: str = "", actor: Actor = CODE) -> int:
    """As `unsubscribe`."""
    order = _order("unsubscribe", tenant, actor=actor, topic=topic, user_id=str(user_id))
    return _count(await acall(_unrecorded(order)))


def disconnect(
    *,
    tenant: str | None = "",
    connection_id: str = "",
    user_id: UserKey = "",
    address: str = "",
    topic: str = "",
    everyone: bool = False,
    reconnect: bool = True,
    reason: str = "",
    actor: Actor = CODE,
) -> int:
    """Close connections with 4409, of a tenant or of all (None). Exactly one of the five filters selects them.

    `reconnect` says whether the clients should come back; `reason` is shown to them. Returns how many closed.
    """
    return _act(
        _disconnect(tenant, connection_id, user_id, address, topic, everyone, reconnect, reason, actor)
    )


async def adisconnect(
    *,
    tenant: str | None = "",
    connection_id: str = "",
    user_id: UserKey = "",
    address: str = "",
    topic: str = "",
    everyone: bool = False,
    reconnect: bool = True,
    reason: str = "",
    actor: Actor = CODE,
) -> int:
    """As `disconnect`."""
    return await _aact(
        _disconnect(tenant, connection_id, user_id, address, topic, everyone, reconnect, reason, actor)
    )


def announce(
    text: str, *, tenant: str | None = "", level: str = "info", reason: str = "", actor: Actor = CODE
) -> int:
    """Push `announcement` to the JSON endpoints of a tenant, or of all (None); returns how many got it."""
    return _act(_order("announce", tenant, reason, actor=actor, text=text, level=level))


async def aannounce(
    text: str, *, tenant: str | None = "", level: str = "info", reason: str = "", actor: Actor = CODE
) -> int:
    """As `announce`."""
    return await _aact(_order("announce", tenant, reason, actor=actor, text=text, level=level))


def revoke_user(user_id: UserKey, *, tenant: str | None = None, reason: str = "", actor: Actor = CODE) -> int:
    """End all tokens and sessions of a user, on one tenant or on all (None). Returns how many connections close,
    at least 1 if there is such a user."""
    return _act(_order("revoke", tenant, reason, actor=actor, user_id=str(user_id)))


async def arevoke_user(
    user_id: UserKey, *, tenant: str | None = None, reason: str = "", actor: Actor = CODE
) -> int:
    """As `revoke_user`."""
    return await _aact(_order("revoke", tenant, reason, actor=actor, user_id=str(user_id)))


def ban(
    *,
    until: datetime,
    tenant: str | None = "",
    user_id: UserKey = "",
    address: str = "",
    reason: str = "",
    actor: Actor = CODE,
) -> int:
    """Ban a user or an address (or a network) until an aware time, on a tenant or on all (None).

    Returns how many connections it ended. `reason` is shown to the clients.
    """
    return _act(_ban(until, tenant, user_id, address, reason, actor))


async def aban(
    *,
    until: datetime,
    tenant: str | None = "",
    user_id: UserKey = "",
    address: str = "",
    reason: str = "",
    actor: Actor = CODE,
) -> int:
    """As `ban`."""
    return await _aact(_ban(until, tenant, user_id, address, reason, actor))


def unban(ban_id: int, *, tenant: str | None = None, reason: str = "", actor: Actor = CODE) -> int:
    """Lift a ban; 0 if there is none."""
    return _act(_order("unban", tenant, reason, actor=actor, id=ban_id))


async def aunban(ban_id: int, *, tenant: str | None = None, reason: str = "", actor: Actor = CODE) -> int:
    """As `unban`."""
    return await _aact(_order("unban", tenant, reason, actor=actor, id=ban_id))


def suspend_tenant(slug: str, *, reason: str = "", actor: Actor = CODE) -> int:
    """Make a tenant's hosts answer 404, and close its sockets with 4404; 0 if there is no such tenant."""
    return _act(_order("suspend", slug, reason, actor=actor, slug=slug))


async def asuspend_tenant(slug: str, *, reason: str = "", actor: Actor = CODE) -> int:
    """As `suspend_tenant`."""
    return await _aact(_order("suspend", slug, reason, actor=actor, slug=slug))


def resume_tenant(slug: str, *, reason: str = "", actor: Actor = CODE) -> int:
    """Let a suspended tenant go on; 0 if there is no such tenant."""
    return _act(_order("resume", slug, reason, actor=actor, slug=slug))


async def aresume_tenant(slug: str, *, reason: str = "", actor: Actor = CODE) -> int:
    """As `resume_tenant`."""
    return await _aact(_order("resume", slug, reason, actor=actor, slug=slug))


def drain_node(node: str, *, reason: str = "", actor: Actor = CODE) -> int:
    """Make a node close its connections and accept no more; 0 if there is no such node."""
    return _act(_order("drain", None, reason, actor=actor, node=node))


async def adrain_node(node: str, *, reason: str = "", actor: Actor = CODE) -> int:
    """As `drain_node`."""
    return await _aact(_order("drain", None, reason, actor=actor, node=node))


def presence(topic: str, *, tenant: str = "") -> dict[str, Any]:
    """Return `{topic, users: [{id, username, connections}], count}` on all nodes; above 200 users only the count."""
    slug = _slug(tenant)
    return call(lambda link: lists.read_presence(link, slug, topic))


async def apresence(topic: str, *, tenant: str = "") -> dict[str, Any]:
    """As `presence`."""
    slug = _slug(tenant)
    return await acall(lambda link: lists.read_presence(link, slug, topic))


def history(topic: str, *, tenant: str = "", limit: int = 100) -> dict[str, Any]:
    """Return `{topic, epoch, offset, publications}`: the newest, in order. Raises RequestError(permission_denied) for a
    topic whose rule does not say `operator="all"`."""
    slug = _slug(tenant)
    return call(lambda link: lists.read_history(link, slug, topic, limit))


async def ahistory(topic: str, *, tenant: str = "", limit: int = 100) -> dict[str, Any]:
    """As `history`."""
    slug = _slug(tenant)
    return await acall(lambda link: lists.read_history(link, slug, topic, limit))


def position(topic: str, *, tenant: str = "") -> Position:
    """Return the position of a topic: its epoch and the offset of its last publication."""
    slug = _slug(tenant)
    return call(lambda link: link.history.position(TopicKey(slug, topic)))


async def aposition(topic: str, *, tenant: str = "") -> Position:
    """As `position`."""
    slug = _slug(tenant)
    return await acall(lambda link: link.history.position(TopicKey(slug, topic)))


def connections(
    *, tenant: str | None = "", page: int = 1, page_size: int = lists.PAGE_SIZE, **filters: Any
) -> lists.Page:
    """Return a page of the open connections of all nodes, of a tenant or of all (None).

    `filters` are `user` (id or username), `route`, `address`, `topic`, `q` and `sort`, as in
    `GET /api/realtime/connections/`. Raises RequestError(invalid_message) for others.
    """
    query = lists.connection_query(_tenant(tenant), **filters)
    return call(lambda link: lists.list_connections(link, query, page, page_size))


async def aconnections(
    *, tenant: str | None = "", page: int = 1, page_size: int = lists.PAGE_SIZE, **filters: Any
) -> lists.Page:
    """As `connections`."""
    query = lists.connection_query(_tenant(tenant), **filters)
    return await acall(lambda link: lists.list_connections(link, query, page, page_size))


def list_topics(
    *,
    tenant: str | None = "",
    q: str = "",
    sort: str = "topic",
    page: int = 1,
    page_size: int = lists.PAGE_SIZE,
) -> lists.Page:
    """Return a page of the topics with subscriptions; `q` is a part of the name, `sort` as in `GET …/topics/`."""
    chosen = _tenant(tenant)
    return call(lambda link: lists.topic_page(link, chosen, q, sort, page, page_size))


async def alist_topics(
    *,
    tenant: str | None = "",
    q: str = "",
    sort: str = "topic",
    page: int = 1,
    page_size: int = lists.PAGE_SIZE,
) -> lists.Page:
    """As `list_topics`."""
    chosen = _tenant(tenant)
    return await acall(lambda link: lists.topic_page(link, chosen, q, sort, page, page_size))


def nodes(*, tenant: str | None = None) -> lists.Page:
    """Return the nodes that are alive, with the figures of a tenant or of all (None)."""
    return call(lambda link: lists.list_nodes(link, tenant))


async def anodes(*, tenant: str | None = None) -> lists.Page:
    """As `nodes`."""
    return await acall(lambda link: lists.list_nodes(link, tenant))


def _disconnect(
    tenant: str | None,
    connection_id: str,
    user_id: UserKey,
    address: str,
    topic: str,
    everyone: bool,
    reconnect: bool,
    reason: str,
    actor: Actor,
) -> Order:
    targets = {"connection_id": connection_id, "user_id": str(user_id), "address": address, "topic": topic}
    given: dict[str, Any] = {name: value for name, value in targets.items() if value} | (
        {"everyone": True} if everyone else {}
    )
    if len(given) != 1:
        raise RequestError(
            ErrorCode.INVALID_MESSAGE, f"Expected exactly one of: {', '.join(targets)}, everyone."
        )
    return _order("disconnect", tenant, reason, actor=actor, reconnect=reconnect, **given)


def record_action(
    action: str, *, tenant: str, user: Publisher, reason: str = "", **target: int | str | None
) -> None:
    """Record in the audit log an action of one of a tenant's users on others in an app, in the caller's transaction.

    `action` has at most 20 characters, `reason` 200. `target` names the users or things that were acted on.
    """
    actor = replace(CODE, id=str(user.id), name=user.username, tenant=tenant)
    service.record(Order(action, actor, tenant, target, reason))


def _ban(
    until: datetime, tenant: str | None, user_id: UserKey, address: str, reason: str, actor: Actor
) -> Order:
    if bool(str(user_id)) == bool(address):
        raise RequestError(ErrorCode.INVALID_MESSAGE, "Expected exactly one of: user_id, address.")
    return _order("ban", tenant, reason, actor=actor, user_id=str(user_id), address=address, until=until)


def _order(name: str, tenant: str | None, reason: str = "", *, actor: Actor = CODE, **target: Any) -> Order:
    return Order(name, actor, _tenant(tenant), target, reason)


def _act(order: Order) -> int:
    service.require_may(order)
    return _count(_after_commit(partial(service.carry_out, order=order)))


def _unrecorded(order: Order) -> Callable[[Link], Coroutine[Any, Any, Answer]]:
    """Return the work of an order that is recorded only if an operator gave it. Raises as `service.require_may`."""
    service.require_may(order)
    if order.actor == CODE:
        return lambda link: orders.HANDLERS[order.name](link, order)
    return partial(service.carry_out, order=order)


def _after_commit(work: Callable[[Link], Coroutine[Any, Any, Answer]]) -> Answer | None:
    """Do `work` now and return its answer. Inside a transaction do it after the commit and return None."""
    commits = current_commits()
    if not commits.is_open(None):
        return call(work)
    commits.on_commit(lambda: call(work), None)
    return None


def _tenant(given: str | None) -> str | None:
    """Return the slug, or None for all tenants. "" stands for the only tenant of the site.

    Raises RequestError(not_found) if there are several.
    """
    return given if given is None else _slug(given)


def _slug(given: str) -> str:
    slug = given or only_slug(current_node().directory)
    if not slug:
        raise RequestError(
            ErrorCode.NOT_FOUND, "This site has several tenants: name one.", details={"field": "tenant"}
        )
    return slug


async def _aact(order: Order) -> int:
    return _count(await acall(partial(service.carry_out, order=order)))


def _count(answer: Answer | None) -> int:
    return 0 if answer is None else int(answer["count"])
