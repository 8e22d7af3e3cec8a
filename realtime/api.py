"""The functions that the rest of a Django project calls."""

import asyncio
from collections.abc import Sequence
from typing import Any

from django.db import transaction

from realtime.conf import RealtimeSettings, load_settings
from realtime.core.history import Position, Publisher
from realtime.core.identity import UserId
from realtime.core.revocations import Revocation
from realtime.core.topics import TopicKey, TopicRules
from realtime.node import node as nodes
from realtime.node.clock import utc_now_text
from realtime.protocol.errors import PublishUnavailableError
from realtime.topics.engine.combined import CombinedEngine
from realtime.topics.engine.drafts import make_draft
from realtime.topics.engine.ports import Draft

# Seconds that a synchronous caller waits until its publication is stored and numbered.
PUBLISH_TIMEOUT_S = 5.0


def publish(
    topic: str,
    data: Any,
    *,
    tenant: str,
    publisher: Publisher | None = None,
    idempotency_key: str | None = None,
) -> Position | None:
    """Publish to all subscribers of `topic` of the tenant with the slug `tenant`, from any thread or process.

    Inside a transaction it publishes after the commit and returns None. Otherwise it returns the
    publication's position. `data` is encoded at once: later changes of the object are not published.

    Raises PublishUnavailableError in a process that serves no sockets and has no Redis, RequestError for data
    that JSON cannot hold, a topic that no rule allows or a reused idempotency key, RuntimeError on the event
    loop (use `apublish`).
    """
    draft = _draft(topic, data, publisher, idempotency_key)
    if transaction.get_connection().in_atomic_block:
        transaction.on_commit(lambda: _publish(tenant, topic, draft))
        return None
    return _publish(tenant, topic, draft)


def publish_before_commit_unsafe(
    topic: str,
    data: Any,
    *,
    tenant: str,
    publisher: Publisher | None = None,
    idempotency_key: str | None = None,
) -> Position:
    """Publish at once, even inside a transaction: subscribers may receive data that is rolled back later."""
    return _publish(tenant, topic, _draft(topic, data, publisher, idempotency_key))


async def apublish(
    topic: str,
    data: Any,
    *,
    tenant: str,
    publisher: Publisher | None = None,
    idempotency_key: str | None = None,
) -> Position:
    """Publish at once, from the event loop. Arguments and errors are those of `publish`."""
    draft = _draft(topic, data, publisher, idempotency_key)
    node = nodes.current_node()
    if node.is_started and node.loop is asyncio.get_running_loop():
        return await node.publish(tenant, topic, draft)
    return await _publish_from_outside(tenant, topic, draft)


def end_subscriptions(topic: str, *, tenant: str, user_id: UserId) -> None:
    """End a user's subscriptions to `topic` on every node, because the user may no longer follow it.

    Inside a transaction this happens after the commit. In a process that serves no sockets it does nothing.
    """
    node = nodes.current_node()

    def end() -> None:
        if node.is_started and node.loop is not None and node.loop.is_running():
            work = node.end_subscriptions(tenant, topic, user_id)
            asyncio.run_coroutine_threadsafe(work, node.loop).result(PUBLISH_TIMEOUT_S)

    transaction.on_commit(end, robust=True)


def revoke(revocations: Sequence[Revocation]) -> None:
    """Close the connections that `revocations` end, on every node, and refuse new ones.

    Call it after the commit. In a process that serves no sockets it does nothing: the nodes learn of
    revocations from the Authenticator.
    """
    node = nodes.current_node()
    if node.is_started and node.loop is not None and node.loop.is_running():
        asyncio.run_coroutine_threadsafe(node.revoke(revocations), node.loop)


def refresh_tenants() -> None:
    """Read tenants and domains again, in this process, at once."""
    nodes.current_node().directory.refresh()


def _draft(topic: str, data: Any, publisher: Publisher | None, idempotency_key: str | None) -> Draft:
    return make_draft(topic, data, publisher, time=utc_now_text(), idempotency_key=idempotency_key)


def _publish(tenant: str, topic: str, draft: Draft) -> Position:
    if _is_on_loop():
        raise RuntimeError("publish() would block the event loop; await apublish() there.")
    node = nodes.current_node()
    if node.is_started and node.loop is not None and node.loop.is_running():
        work = node.publish(tenant, topic, draft)
        return asyncio.run_coroutine_threadsafe(work, node.loop).result(PUBLISH_TIMEOUT_S)
    return asyncio.run(_publish_from_outside(tenant, topic, draft))


async def _publish_from_outside(tenant: str, topic: str, draft: Draft) -> Position:
    settings = load_settings()
    _require_redis(settings)
    rule = TopicRules(settings.TOPIC_RULES).rule(topic)
    history, bus = nodes.build_engine(settings)
    engine = CombinedEngine(history, bus)
    try:
        return (await engine.publish(TopicKey(tenant, topic), draft, rule.retention)).position
    finally:
        await bus.stop()
        await history.close()


def _require_redis(settings: RealtimeSettings) -> None:
    if not settings.REDIS_URL:
        raise PublishUnavailableError(
            "This process serves no sockets and there is no broker to reach the one that does. "
            "Set REDIS_URL for the server and for this process."
        )


def _is_on_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
