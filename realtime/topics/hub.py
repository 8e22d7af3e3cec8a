"""The hub of a process: every publication is encoded once and put, by reference, into each local subscriber's outbox.

It knows where each topic stands that it serves. What arrives twice is dropped; where something is missing it is read
from the history once, for all its subscribers, and given to them in order. What cannot be made whole ends the
subscriptions with a push that says so: never silently some. How a subscription comes about is in `joining`.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Iterable, Iterator
from itertools import islice
from time import monotonic
from typing import Any, Protocol

from realtime.core.history import Position
from realtime.core.topics import TopicKey, TopicRule
from realtime.protocol.codec import encode, publication_text
from realtime.protocol.errors import ErrorCode, RequestError
from realtime.sockets.outbox import WriteCoalescer
from realtime.sockets.prepared import PreparedMessage
from realtime.sockets.subscription import Subscriber, Subscription, SubscriptionState
from realtime.topics.engine.ports import (
    POSITIONS_PER_CALL,
    Arrival,
    Draft,
    Engine,
    EngineUnavailableError,
    Page,
    Retention,
)
from realtime.topics.fanout import Turns
from realtime.topics.local_topic import LocalTopic
from realtime.topics.reads import Reads

logger = logging.getLogger(__name__)

Spawn = Callable[[Coroutine[Any, Any, None]], "asyncio.Task[None]"]
# How often a topic is compared with its history: one that is in use, and one where nothing has happened for long.
COMPARE_ACTIVE_S = 5.0
COMPARE_QUIET_S = 60.0
# Payloads of all served topics that are kept in memory for those who come back.
CACHE_BYTES = 64 * 1024 * 1024


class Witness(Protocol):
    """Who is told when subscriptions begin and end: the presence."""

    def began(self, subscription: Subscription) -> None:
        """It is LIVE from now on; or it was, and was asked for again."""
        ...

    def ended(self, subscription: Subscription, *, at_once: bool) -> None:
        """It was LIVE and is over. `at_once`: its user will not come back by itself."""
        ...


class Hub:
    """Subscriptions and publications of one process. Touched only on its loop.

    `clock` gives monotonic seconds. `tail_max_bytes` bounds what is kept of one topic (0: only by TAIL_MAX_BYTES),
    `cache_bytes` what is kept of all (0: no bound).
    """

    def __init__(
        self,
        engine: Engine,
        spawn: Spawn,
        witness: Witness,
        coalescer: WriteCoalescer,
        *,
        tail_max_bytes: int = 0,
        cache_bytes: int = CACHE_BYTES,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self.reads = Reads(engine, spawn)
        # How often a user lost a topic: an answer that a gate allowed before counts only while this is the same.
        self.revocations = 0
        self._engine = engine
        self._spawn = spawn
        self._witness = witness
        self._tail_max_bytes = tail_max_bytes
        self._cache_bytes = cache_bytes
        self._clock = clock
        self._turns = Turns(asyncio.get_running_loop(), coalescer)
        self._topics: dict[TopicKey, LocalTopic] = {}
        # Topics with something in their tail, the longest unused first; and all their bytes.
        self._cached: OrderedDict[TopicKey, LocalTopic] = OrderedDict()
        self._cached_bytes = 0

    def topics(self) -> list[LocalTopic]:
        """The topics with subscriptions here."""
        return list(self._topics.values())

    def topic(self, key: TopicKey) -> LocalTopic | None:
        """A topic with subscriptions here."""
        return self._topics.get(key)

    # Subscriptions

    def reserve(
        self, connection: Subscriber, topic: str, rule: TopicRule, *, wants_presence: bool
    ) -> Subscription:
        """The connection's subscription to `topic`: a JOINING one, or the one that is LIVE already.

        Raises RequestError(conflict) while another request is joining it.
        """
        key = TopicKey(connection.tenant.slug, topic)
        subscription = connection.subscriptions.get(topic)
        if subscription is not None:
            if subscription.state is SubscriptionState.JOINING:
                raise RequestError(ErrorCode.CONFLICT, "A subscription to this topic is under way.")
            subscription.wants_presence = wants_presence
            return subscription
        subscription = Subscription(connection, key, rule, self, wants_presence=wants_presence)
        local = self._topics.get(key)
        if local is None:
            retention = Retention(rule.history_size, rule.history_ttl_s)
            local = LocalTopic(key, retention, now_s=self._clock(), tail_max_bytes=self._tail_max_bytes)
            self._topics[key] = local
        local.subscriptions[connection] = subscription
        connection.subscriptions[topic] = subscription
        return subscription

    async def open(self, key: TopicKey, since: Position | None) -> None:
        """Wait until the topic is open; its opening reads what came after `since` too. For a topic that is reserved.

        Raises EngineUnavailableError.
        """
        local = self._topics.get(key)
        # The reservation may have ended since the caller looked.
        if local is None or local.is_open:
            return
        if local.opening is None or local.opening.done():
            local.opening = self._spawn(self._open(local, since))
        await asyncio.wait([local.opening])
        if not local.is_open and self._topics.get(key) is local:
            raise EngineUnavailableError("The topic could not be opened.")

    def go_live(self, subscription: Subscription) -> None:
        """Give its connection all that comes after the topic's position from now on."""
        local = self._topics[subscription.key]
        local.fanout.join(subscription.connection, local.offset)
        if subscription.state is SubscriptionState.JOINING:
            subscription.state = SubscriptionState.LIVE
            subscription.connection.metrics.subscriptions += 1
        self._witness.began(subscription)

    def end(self, subscription: Subscription, *, at_once: bool, error: RequestError | None = None) -> bool:
        """End it, also while it is JOINING: then the request under way answers `error`. False where it was over."""
        if subscription.is_ended:
            return False
        connection, was_live = subscription.connection, subscription.state is SubscriptionState.LIVE
        subscription.state = SubscriptionState.ENDED
        subscription.ended_by = error
        del connection.subscriptions[subscription.topic]
        local = self._topics[subscription.key]
        del local.subscriptions[connection]
        if was_live:
            local.fanout.leave(connection)
            connection.metrics.subscriptions -= 1
            self._witness.ended(subscription, at_once=at_once)
        if not local.subscriptions:
            self._close(local)
        return True

    def drop(self, subscription: Subscription, code: ErrorCode, reason: str) -> None:
        """End a subscription from the server's side, and say why."""
        was_live = subscription.state is SubscriptionState.LIVE
        # One that lost its history comes back by itself.
        at_once = code != ErrorCode.UNRECOVERABLE_POSITION
        if self.end(subscription, at_once=at_once, error=RequestError(code, reason)) and was_live:
            payload = {"topic": subscription.topic, "code": code, "reason": reason}
            subscription.connection.push("unsubscribed", payload)

    def revoke(self, key: TopicKey, user_id: int) -> None:
        """A user may no longer follow a topic. One that is JOINING asks its gates again."""
        self.revocations += 1
        local = self._topics.get(key)
        if local is None:
            return
        for subscription in list(local.subscriptions.values()):
            identity = subscription.connection.identity
            if identity is None or identity.user_id != user_id:
                continue
            if subscription.state is SubscriptionState.JOINING:
                subscription.is_doubted = True
            else:
                self.drop(subscription, ErrorCode.PERMISSION_DENIED, "no longer allowed")

    # Publications

    async def publish(self, key: TopicKey, draft: Draft, retention: Retention) -> Position:
        """Number, store and deliver a publication.

        Raises RequestError(conflict) for a reused idempotency key, EngineUnavailableError.
        """
        published = await self._engine.publish(key, draft, retention)
        if published.payload is not None:
            self.arrived(Arrival(key, published.position, published.payload))
        return published.position

    def arrived(self, arrival: Arrival) -> None:
        """Take in a publication, from here or from another node."""
        local = self._topics.get(arrival.key)
        if local is None:
            return
        epoch, offset = arrival.position.epoch, arrival.position.offset
        if not local.is_open:
            # The opening may have read the position before.
            local.is_suspect = True
            return
        if epoch != local.epoch:
            self.look_again(local)
            return
        if offset <= local.offset:
            return
        local.newest = max(local.newest, offset)
        if local.repair is not None:
            return
        if offset == local.offset + 1:
            self._deliver(local, arrival.payload)
        elif not local.retention.size:
            local.tail.offset = offset - 1
            self._deliver(local, arrival.payload)
        else:
            self._start_repair(local)

    async def compare(self, *, everything: bool = False) -> None:
        """Look whether the history has more than was delivered: the bus may lose something without a trace.

        Topics in use are compared every COMPARE_ACTIVE_S, quiet ones every COMPARE_QUIET_S; `everything`: all now.
        Raises EngineUnavailableError.
        """
        now_s = self._clock()
        due = [local for local in self.topics() if everything or _is_due(local, now_s)]
        for batch in _batches(due, POSITIONS_PER_CALL):
            known = [local.position for local in batch]
            positions = await self._engine.positions([local.key for local in batch])
            for local, before, position in zip(batch, known, positions, strict=True):
                local.compared_s = now_s
                self._compare(local, before, position)

    def look_again(self, local: LocalTopic) -> None:
        """Something about the topic is not as it was known: read where it is now."""
        local.is_suspect = True
        self._start_repair(local)

    def heard_of(self, local: LocalTopic, position: Position) -> None:
        """The history said that the topic is there, or was."""
        if position.epoch != local.epoch:
            self.look_again(local)
            return
        local.newest = max(local.newest, position.offset)
        if local.offset < local.newest:
            self._start_repair(local)

    async def look_now(self, local: LocalTopic) -> None:
        """As `look_again`, and wait for it; raises EngineUnavailableError."""
        self.look_again(local)
        if local.repair is not None:
            await asyncio.wait([local.repair])
        if local.is_suspect:
            raise EngineUnavailableError("The topic could not be read again.")

    def cache(self, local: LocalTopic, since: Position, page: Page) -> list[bytes]:
        """The payloads of a page, kept for the next who asks for the same where they belong to the topic's epoch."""
        publications = page.publications or []
        payloads = [encode(publication.payload()).encode() for publication in publications]
        if payloads and local.retention.size and since.epoch == local.epoch:
            before = local.tail.size_bytes
            local.tail.extend_back(publications[0].offset, payloads, self._clock())
            self._count_cached(local, before)
        return payloads

    def kept_after(self, local: LocalTopic, offset: int) -> list[bytes] | None:
        """The payloads that subscribers were given after `offset`; None where they are not all in memory."""
        before = local.tail.size_bytes
        payloads = local.tail.after(offset, self._clock())
        self._count_cached(local, before)
        return payloads

    def _deliver(self, local: LocalTopic, payload: bytes) -> None:
        now_s = local.active_s = self._clock()
        tail = local.tail
        if local.retention.size:
            before = tail.size_bytes
            tail.append(payload, now_s)
            self._count_cached(local, before)
        else:
            tail.offset += 1
        local.newest = max(local.newest, tail.offset)
        local.fanout.add(tail.offset, PreparedMessage(publication_text(payload)))
        self._turns.add(local.fanout)

    def _count_cached(self, local: LocalTopic, before_bytes: int) -> None:
        """A tail has changed. Over the bound of all of them, the topics that are unused the longest forget theirs."""
        if self._topics.get(local.key) is not local:
            # It was closed while its history was read: nobody is caught up from it any more.
            local.tail.clear()
            return
        self._cached_bytes += local.tail.size_bytes - before_bytes
        self._cached[local.key] = local
        self._cached.move_to_end(local.key)
        while self._cache_bytes and self._cached_bytes > self._cache_bytes and self._cached:
            self._forget_cached(next(iter(self._cached.values())))

    def _forget_cached(self, local: LocalTopic) -> None:
        if self._cached.pop(local.key, None) is not None:
            self._cached_bytes -= local.tail.size_bytes
            local.tail.clear()

    def _compare(self, local: LocalTopic, before: Position, position: Position) -> None:
        """`before` is where the topic was here when its position was asked for."""
        if not local.is_open or self._topics.get(local.key) is not local or local.epoch != before.epoch:
            return
        if position.epoch != local.epoch or position.offset < before.offset:
            self.look_again(local)
        else:
            self.heard_of(local, position)

    def _start_repair(self, local: LocalTopic) -> None:
        if local.repair is None:
            local.repair = self._spawn(self._repair(local))

    async def _repair(self, local: LocalTopic) -> None:
        try:
            while self._topics.get(local.key) is local and (local.is_suspect or local.offset < local.newest):
                local.is_suspect = False
                since = local.position
                page = await self.reads.page(local.key, since, fresh=True)
                if not self._take(local, since, page):
                    return
        except EngineUnavailableError:
            # The next comparison comes soon, and begins anew.
            local.active_s, local.is_suspect = self._clock(), True
            logger.warning("The history is away; a topic is repaired later")
        finally:
            local.repair = None

    def _take(self, local: LocalTopic, since: Position, page: Page) -> bool:
        """Deliver what a repair has read; False where the topic had to begin anew or nothing more is to come."""
        if self._topics.get(local.key) is not local:
            return False
        if page.publications is None:
            self._lost(local, page.position)
            return False
        for publication in page.publications:
            if publication.offset == local.offset + 1:
                self._deliver(local, encode(publication.payload()).encode())
        local.newest = max(local.newest, page.position.offset)
        return local.position != since or local.is_suspect

    def _lost(self, local: LocalTopic, position: Position) -> None:
        """What is missing is gone. The LIVE ones are told; the JOINING ones find another epoch or offset."""
        live = [each for each in local.subscriptions.values() if each.state is SubscriptionState.LIVE]
        # Before the end of the last subscription closes the topic: a JOINING one may need it.
        self._forget_cached(local)
        for subscription in live:
            self.drop(
                subscription,
                ErrorCode.UNRECOVERABLE_POSITION,
                "history was lost: subscribe again and reload",
            )
        local.begin(position)

    async def _open(self, local: LocalTopic, since: Position | None) -> None:
        try:
            await self._attach(local.key)
            page = await self.reads.page(local.key, since, fresh=True)
        except EngineUnavailableError as error:
            logger.warning("A topic could not be opened: %s", error)
            return
        if self._topics.get(local.key) is not local:
            return
        was_suspect = local.is_suspect
        local.begin(page.position)
        if since is not None:
            self.cache(local, since, page)
        if was_suspect:
            self.look_again(local)

    async def _attach(self, key: TopicKey) -> None:
        self.reads.expected += 1
        try:
            await self._engine.attach(key)
        finally:
            self.reads.expected -= 1

    def _close(self, local: LocalTopic) -> None:
        self._forget_cached(local)
        del self._topics[local.key]
        if local.opening is not None:
            # After its attaching, in the order in which they were asked for.
            self._spawn(self._engine.detach(local.key))


def _is_due(local: LocalTopic, now_s: float) -> bool:
    if not local.is_open or not local.retention.size:
        return False
    is_quiet = local.compared_s - local.active_s > COMPARE_QUIET_S
    return now_s - local.compared_s >= (COMPARE_QUIET_S if is_quiet else COMPARE_ACTIVE_S)


def _batches(items: list[LocalTopic], size: int) -> Iterator[list[LocalTopic]]:
    remaining: Iterable[LocalTopic] = iter(items)
    while batch := list(islice(remaining, size)):
        yield batch
