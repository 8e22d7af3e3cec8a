"""The functions that the rest of a Django project calls."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from functools import partial
from time import time, time_ns
from typing import Any, TypeVar

import msgspec
from django.conf import settings as django_settings
from django.core.exceptions import SynchronousOnlyOperation
from django.db import DEFAULT_DB_ALIAS, connections, transaction

from realtime.conf import RealtimeSettings, current_settings
from realtime.core.history import Change, Draft, Publisher
from realtime.core.identity import UserId, as_user_id
from realtime.core.position import Position
from realtime.core.revocations import Revocation
from realtime.core.topics import TopicKey, TopicRule, TopicRules
from realtime.node import node as nodes
from realtime.node import outbox_rows
from realtime.node.commits import current_commits
from realtime.node.control import CONTROL_GROUP, OUTBOX_GROUP, RECHECKS_GROUP, EndSubscriptions, Recheck
from realtime.node.node import Node
from realtime.node.ports import only_slug, require_tenant
from realtime.node.publish_failures import PublishFailure, report
from realtime.node.recording import current_recording
from realtime.node.remote import NO_BROKER, current_remote
from realtime.protocol.codec import time_text
from realtime.protocol.errors import ErrorCode, PublishUnavailableError, RequestError
from realtime.topics.engine.drafts import checked_key, make_draft
from realtime.topics.engine.ports import EngineUnavailableError
from realtime.topics.engine.values import plain_text

T = TypeVar("T")

# Seconds that a synchronous caller waits until its publication is stored and numbered.
PUBLISH_TIMEOUT_S = 5.0
# Seconds that the end of a subscription waits for the publications before it. A lost right does not wait for a broker.
END_TIMEOUT_S = 0.5
BY_OUTBOX = "Or call publish() inside transaction.atomic(): a serving process sends it after the commit."


def publish(
    topic: str,
    data: Any,
    *,
    tenant: str = "",
    publisher: Publisher | None = None,
    idempotency_key: str | None = None,
    using: str | None = None,
) -> Position | None:
    """Publish to all subscribers of `topic` of the tenant with the slug `tenant`, from any thread or process.
    A site with one tenant need not name it.

    Topic, tenant and data are checked and encoded at once: later changes of an object are not published.
    Inside a transaction of the database `using` (None: the default one) it returns None. In the default
    database the publication is stored as a row that commits with the caller's own. A serving process sends it
    after the commit, even if this process is killed. With another database it is sent as by `publish_soon`.
    Outside of a transaction it publishes at once and returns the position.

    Raises RequestError for data that JSON cannot hold, a tenant that does not exist, a topic that no rule
    allows or (outside of a transaction) a reused idempotency key; RuntimeError on the event loop (use
    `apublish`). Outside of a transaction it raises PublishUnavailableError if the publication cannot reach
    the sockets: in a process that serves none and has no broker, or while the broker is away.
    """
    _refuse_on_loop("publish", "await apublish()")
    key, draft = _checked(topic, data, tenant, publisher, idempotency_key)
    if (recording := current_recording()) is not None:
        return recording.add_on_commit(key, draft, using)
    if _has_outbox(using) and transaction.get_connection(using).in_atomic_block:
        _store(key, draft)
        return None
    return _after_commit(using, "publish", key, partial(_publishing, key, draft))


def publish_soon(
    topic: str,
    data: Any,
    *,
    tenant: str = "",
    publisher: Publisher | None = None,
    idempotency_key: str | None = None,
    using: str | None = None,
) -> None:
    """As `publish`, for data whose loss subscribers notice: it is not stored, and the caller gets no position.

    This process sends it, inside a transaction after the commit, in the order of these calls. A failure then is
    logged, counted and given to PUBLISH_ERRORS. A serving process does not wait for the broker, any other does.
    """
    _refuse_on_loop("publish_soon", "await apublish()")
    key, draft = _checked(topic, data, tenant, publisher, idempotency_key)
    if (recording := current_recording()) is not None:
        recording.add_on_commit(key, draft, using)
    else:
        _ask_soon(using, "publish", key, partial(_publishing, key, draft))


def publish_before_commit_unsafe(
    topic: str,
    data: Any,
    *,
    tenant: str = "",
    publisher: Publisher | None = None,
    idempotency_key: str | None = None,
) -> Position:
    """Publish at once, even inside a transaction: subscribers may receive data that is rolled back later."""
    _refuse_on_loop("publish_before_commit_unsafe", "await apublish()")
    key, draft = _checked(topic, data, tenant, publisher, idempotency_key)
    if (recording := current_recording()) is not None:
        return recording.add(key, draft)
    return _result(_publishing(key, draft))


async def apublish(
    topic: str,
    data: Any,
    *,
    tenant: str = "",
    publisher: Publisher | None = None,
    idempotency_key: str | None = None,
) -> Position:
    """Publish at once, from any event loop. Arguments and errors are those of `publish` outside of a
    transaction."""
    try:
        key, draft = _checked(topic, data, tenant, publisher, idempotency_key)
    except SynchronousOnlyOperation:
        # The tenant is not in memory, or the data are rows of a query.
        call = partial(_checked_in_thread, topic, data, tenant, publisher, idempotency_key)
        key, draft = await asyncio.to_thread(call)
    if (recording := current_recording()) is not None:
        return recording.add(key, draft)
    node = nodes.current_node()
    try:
        if node.serves_here and node.loop is asyncio.get_running_loop():
            return await _publish_after(node, key, draft)
        if node.serves_here:
            return await asyncio.wrap_future(node.submit(_publish_after(node, key, draft)))
        return await asyncio.wrap_future(_publish_remotely(key, draft))
    except EngineUnavailableError as error:
        raise _away() from error


def end_subscriptions(topic: str, *, tenant: str = "", user_id: UserId, using: str | None = None) -> None:
    """End a user's subscriptions to `topic` on every node, because the user may no longer follow it.

    Works from any thread and process. Inside a transaction of the database `using` it happens after the
    commit, and a failure then is logged, counted and given to PUBLISH_ERRORS. Otherwise it raises
    PublishUnavailableError if the nodes cannot be reached.
    """
    _refuse_on_loop("end_subscriptions", "await node.end_subscriptions()")
    key = TopicKey(*_checked_names(tenant, topic))
    ended = EndSubscriptions(key.tenant, key.topic, as_user_id(user_id))

    def end() -> "Future[None]":
        node = nodes.current_node()
        if node.serves_here:
            return node.submit(_end_after(node, key, ended.user_id))
        return current_remote(_settings()).tell(CONTROL_GROUP, msgspec.msgpack.encode(ended))

    _after_commit(using, "end_subscriptions", key, end)


def rewrite_history(topic: str, change: Change, *, tenant: str, using: str | None = None) -> None:
    """Replace data in the history of `topic`, on every node, because it must no longer be read.

    `change` gets the data of each stored publication as JSON text, on the event loop, and returns new JSON
    text or None. Offsets, times and publishers stay. Subscribers are not told: publish the change afterwards.
    Commits and failures are treated as by `end_subscriptions`.
    """
    _refuse_on_loop("rewrite_history", "await node.rewrite_history()")
    key = TopicKey(*_checked_names(tenant, topic))

    def rewrite() -> "Future[None]":
        node = nodes.current_node()
        if node.serves_here:
            return node.submit(node.topic_order.run(key, partial(node.rewrite_history, *key, change)))
        return current_remote(_settings()).rewrite(key, change)

    _after_commit(using, "rewrite_history", key, rewrite)


def recheck(user_id: UserId | None = None, *, using: str | None = None) -> None:
    """Make every node check a user's open connections again, with the Authenticator and the gates of topics.

    Call it after rights were taken away without a revocation. None means the connections of all users, which
    may take a while. Commits and failures are treated as by `end_subscriptions`.
    """
    _refuse_on_loop("recheck", "await node.recheck()")
    asked = Recheck(None if user_id is None else as_user_id(user_id))

    def ask() -> "Future[None]":
        node = nodes.current_node()
        if node.serves_here:
            return node.submit(node.recheck(asked.user_id))
        return current_remote(_settings()).tell(RECHECKS_GROUP, msgspec.msgpack.encode(asked))

    _after_commit(using, "recheck", TopicKey("", ""), ask)


def revoke(revocations: Sequence[Revocation]) -> None:
    """Close the connections that `revocations` end, on every node, and refuse new ones.

    Call it after the commit. In a process that serves no sockets it does nothing: the nodes learn of
    revocations from the Authenticator.
    """
    node = nodes.current_node()
    if node.serves_here:
        node.submit(node.revoke(revocations))


def refresh_tenants() -> None:
    """Read tenants and domains again, in this process, at once."""
    nodes.current_node().directory.refresh()


def _checked(
    topic: str, data: Any, tenant: str, publisher: Publisher | None, idempotency_key: str | None
) -> tuple[TopicKey, Draft]:
    """Return the publication, encoded and ready to be stored; raises RequestError if it is not valid."""
    key = TopicKey(*_checked_names(tenant, topic))
    settings = _settings()
    contract = _rule(settings, key.topic).contract
    is_checked = settings.CHECK_CONTRACTS or django_settings.DEBUG or current_recording() is not None
    draft = make_draft(
        key.topic,
        data,
        publisher,
        time=time_text(time_ns()),
        idempotency_key=checked_key(idempotency_key),
        max_bytes=settings.PUBLICATION_BYTES,
        contract=contract if is_checked else None,
    )
    # In a block that will be rolled back no query is allowed, and nothing is published.
    if not transaction.get_connection().needs_rollback:
        require_tenant(nodes.current_node().directory, key.tenant)
    return key, draft


def _settings() -> RealtimeSettings:
    node = nodes.current_node()
    return node.settings if node.serves_here else current_settings()


def _rule(settings: RealtimeSettings, topic: str) -> TopicRule:
    try:
        return TopicRules(settings.TOPIC_RULES).rule(topic)
    except RequestError as error:
        raise RequestError(
            error.code, f"Nothing can be published to {topic!r}: {error.message}", details=error.details
        ) from error


def _checked_in_thread(*arguments: Any) -> tuple[TopicKey, Draft]:
    try:
        return _checked(*arguments)
    finally:
        # The thread is not one that Django knows of.
        connections.close_all()


def _checked_names(tenant: str, topic: str) -> tuple[str, str]:
    for name, value in (("tenant", tenant), ("topic", topic)):
        if not isinstance(value, str):
            raise RequestError(
                ErrorCode.INVALID_MESSAGE,
                f"Expected `{name}` to be a text, received a value of the type {type(value).__name__}.",
                details={"field": name},
            )
    return plain_text(tenant) or only_slug(nodes.current_node().directory), plain_text(topic)


def _has_outbox(using: str | None) -> bool:
    is_its_database = (using or DEFAULT_DB_ALIAS) == outbox_rows.ALIAS
    return is_its_database and _settings().TRANSACTIONAL_OUTBOX and outbox_rows.is_supported()


def _store(key: TopicKey, draft: Draft) -> None:
    """Store the publication in the caller's transaction; it is sent after the commit, by a serving process."""
    if transaction.get_connection(outbox_rows.ALIAS).needs_rollback:
        # This block is rolled back anyway, and no statement is allowed before that.
        return
    rows_max = _settings().TRANSACTIONAL_OUTBOX_ROWS
    is_stored = outbox_rows.store(key, draft, now_s=time(), rows_max=rows_max)
    if is_stored:
        transaction.on_commit(_wake_sender, using=outbox_rows.ALIAS, robust=True)
        return
    full = PublishUnavailableError(f"{rows_max} publications wait in the outbox already; it was dropped.")
    report(PublishFailure("publish", *key, full), nodes.current_node().metrics, _settings().PUBLISH_ERRORS)


def _wake_sender() -> None:
    """Wake the sender without waiting. If that is not possible, the serving processes look within a second."""
    node = nodes.current_node()
    if node.serves_here and node.loop is not None:
        node.loop.call_soon_threadsafe(node.look_into_outbox)
    elif _settings().REDIS_URL:
        with suppress(PublishUnavailableError):
            current_remote(_settings()).tell(OUTBOX_GROUP, b"")


def _after_commit(using: str | None, action: str, key: TopicKey, ask: "Callable[[], Future[T]]") -> T | None:
    """Ask now and wait for the result. Inside a transaction, ask after the commit, and never raise then."""
    if not current_commits().is_open(using):
        return _result(ask())
    _ask_soon(using, action, key, ask)
    return None


def _ask_soon(using: str | None, action: str, key: TopicKey, ask: "Callable[[], Future[Any]]") -> None:
    """Ask now. Inside a transaction, ask after the commit. A failure is reported, and not raised."""
    commits = current_commits()
    work = partial(_ask_safely, action, key, ask)
    if commits.is_open(using):
        commits.on_commit(work, using)
    else:
        work()


def _ask_safely(action: str, key: TopicKey, ask: "Callable[[], Future[Any]]") -> None:
    """A serving process does not wait: the broker may hang, and others need the thread. Any other process waits,
    because it may end right afterwards."""
    node = nodes.current_node()
    try:
        _refuse_on_loop(action, "a thread")
        asked = ask()
        if not node.serves_here:
            _result(asked)
            return
    except Exception as error:
        report(PublishFailure(action, *key, error), node.metrics, _settings().PUBLISH_ERRORS)
        return
    asked.add_done_callback(partial(_report_failed, node, action, key))


def _report_failed(node: Node, action: str, key: TopicKey, done: "Future[Any]") -> None:
    """Called on the node's loop, or in the thread that asked if it was done by then."""
    try:
        _result(done)
    except Exception as error:
        assert node.loop is not None
        node.loop.call_soon_threadsafe(node.report, PublishFailure(action, *key, error))


def _publishing(key: TopicKey, draft: Draft) -> "Future[Position]":
    node = nodes.current_node()
    if not node.serves_here:
        return _publish_remotely(key, draft)
    work = partial(node.publish, *key, draft)
    return node.submit(node.topic_order.run(key, work, size_bytes=len(draft.data)))


def _publish_remotely(key: TopicKey, draft: Draft) -> "Future[Position]":
    settings = _settings()
    if not settings.REDIS_URL and _has_outbox(None):
        raise PublishUnavailableError(f"{NO_BROKER} {BY_OUTBOX}")
    return current_remote(settings).publish(key, draft, _rule(settings, key.topic).retention)


async def _publish_after(node: Node, key: TopicKey, draft: Draft) -> Position:
    """Publish after the work that threads have asked for. Many of these calls are one pipeline, so they are in no order."""
    await node.topic_order.after(key)
    return await node.publish(*key, draft)


async def _end_after(node: Node, key: TopicKey, user_id: UserId) -> None:
    await node.topic_order.after(key, at_most_s=END_TIMEOUT_S)
    await node.end_subscriptions(*key, user_id)


def _result(future: "Future[T]") -> T:
    try:
        return future.result(PUBLISH_TIMEOUT_S)
    except (TimeoutError, CancelledError, EngineUnavailableError) as error:
        future.cancel()
        raise _away() from error


def _away() -> PublishUnavailableError:
    return PublishUnavailableError(
        "The broker does not answer, so it is not known whether this reached the sockets. Repeat it with the same "
        "idempotency_key, or do it inside transaction.atomic(): then a failure is logged and your code goes on."
    )


def _refuse_on_loop(name: str, instead: str) -> None:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise RuntimeError(f"{name}() would block the event loop; use {instead} there.")
