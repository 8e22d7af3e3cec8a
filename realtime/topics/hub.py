"""The hub of a process: each publication is encoded once and put, by reference,
into the subscribers' outboxes.

The hub knows the position of each topic that it serves. It drops publications that arrive twice. If some are
missing, it reads them from the history once for all subscribers and delivers them in order (gap repair). If the
epoch has changed and nothing was lost, it goes on, and the next publication names the new epoch. If
the gap cannot be filled, it ends the subscriptions and says so in a push: a client never misses publications
without being told. `joining` has the steps by which a subscription begins.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Collection, Coroutine, Iterable, Iterator
from itertools import islice
from time import monotonic
from typing import Any, Protocol

from realtime.core.history import Draft
from realtime.core.identity import UserId
from realtime.core.position import Position
from realtime.core.topics import Retention, TopicKey, TopicRule
from realtime.protocol.codec import encode_bytes, publication_text, with_epoch
from realtime.protocol.errors import ErrorCode, RequestError
from realtime.sockets.metrics import Metrics
from realtime.sockets.outbox import PreparedMessage, WriteCoalescer
from realtime.sockets.subscription import Subscriber, Subscription, SubscriptionState
from realtime.topics.comparisons import Comparisons
from realtime.topics.engine.ports import POSITIONS_AT_ONCE, Arrival, Engine, EngineUnavailableError, Page
from realtime.topics.fanout import Turns
from realtime.topics.gaps import GAP_WAIT_S, Gaps
from realtime.topics.local_topic import LocalTopic
from realtime.topics.reads import Reads

logger = logging.getLogger(__name__)

Spawn = Callable[[Coroutine[Any, Any, None]], "asyncio.Task[None]"]
# Payload bytes of all served topics that are kept in memory for clients that reconnect.
CACHE_BYTES = 64 * 1024 * 1024


class SubscriptionListener(Protocol):
    """Is told when subscriptions begin and end; implemented by the presence."""

    def began(self, subscription: Subscription) -> None:
        """The subscription is now LIVE, or was LIVE and is requested again."""
        ...

    def ended(self, subscription: Subscription, *, at_once: bool) -> None:
        """A LIVE subscription has ended. `at_once`: the client is not expected to reconnect by itself."""
        ...

    def list_bytes(self, subscription: Subscription) -> int:
        """Return about how many bytes the presence of the topic takes in the reply to this subscription."""
        ...


class Hub:
    """Subscriptions and publications of one process. Used only on its event loop.

    `clock` returns monotonic seconds. `tail_max_bytes` bounds the payload bytes kept for one topic (0:
    TAIL_MAX_BYTES is the only bound), `cache_bytes` those kept for all topics (0: no bound).
    """

    def __init__(
        self,
        engine: Engine,
        spawn: Spawn,
        listener: SubscriptionListener,
        coalescer: WriteCoalescer,
        *,
        tail_max_bytes: int = 0,
        cache_bytes: int = CACHE_BYTES,
        clock: Callable[[], float] = monotonic,
        metrics: Metrics | None = None,
        gap_wait_s: float = GAP_WAIT_S,
    ) -> None:
        self._metrics = metrics or Metrics()
        self.reads = Reads(engine, spawn)
        # Counts lost rights to topics. An earlier "yes" of a gate is valid only while this is the same.
        self.revocations = 0
        self._engine = engine
        self._spawn = spawn
        self._listener = listener
        self._tail_max_bytes = tail_max_bytes
        self._cache_bytes = cache_bytes
        self._clock = clock
        self._turns = Turns(asyncio.get_running_loop(), coalescer)
        self._topics: dict[TopicKey, LocalTopic] = {}
        self._comparisons = Comparisons()
        self._gaps = Gaps(self._give_up, gap_wait_s)
        # Topics that keep payloads in their tail, the least recently used first; and the bytes of them all.
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
        """The connection's subscription to `topic`: a new JOINING one, or the existing LIVE one.

        Raises RequestError(conflict) while another request is joining it.
        """
        key = TopicKey(connection.tenant.slug, topic)
        subscription = connection.subscriptions.get(topic)
        if subscription is not None:
            if subscription.state is SubscriptionState.JOINING:
                raise RequestError(
                    ErrorCode.CONFLICT, "This topic is being subscribed to already; wait for the reply."
                )
            subscription.wants_presence = wants_presence
            return subscription
        subscription = Subscription(connection, key, rule, self, wants_presence=wants_presence)
        local = self._topics.get(key)
        if local is None:
            local = LocalTopic(key, rule.retention, now_s=self._clock(), tail_max_bytes=self._tail_max_bytes)
            self._topics[key] = local
            self._comparisons.add(local)
        local.subscriptions[connection] = subscription
        connection.subscriptions[topic] = subscription
        return subscription

    def list_bytes(self, subscription: Subscription) -> int:
        """Return about how many bytes of presence the reply to this subscription holds."""
        return self._listener.list_bytes(subscription) if subscription.wants_presence else 0

    async def open(self, key: TopicKey, since: Position | None) -> None:
        """Wait until the topic is open. The read that opens it also fetches what came after `since`.

        The topic must have been reserved. Raises EngineUnavailableError.
        """
        local = self._topics.get(key)
        # The reservation may have ended since the caller checked.
        if local is None or local.is_open:
            return
        if local.opening is None or local.opening.done():
            local.opening = self._spawn(self._open(local, since))
        await asyncio.wait([local.opening])
        if not local.is_open and self._topics.get(key) is local:
            raise EngineUnavailableError("The topic could not be opened.")

    def go_live(self, subscription: Subscription) -> None:
        """From now on deliver to its connection what comes after the topic's current position."""
        local = self._topics[subscription.key]
        local.fanout.join(subscription.connection, local.offset)
        if subscription.state is SubscriptionState.JOINING:
            subscription.state = SubscriptionState.LIVE
            subscription.connection.metrics.subscriptions += 1
        self._listener.began(subscription)

    def end(self, subscription: Subscription, *, at_once: bool, error: RequestError | None = None) -> bool:
        """End a subscription; False if it had already ended. The request of a JOINING one answers `error`."""
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
            self._listener.ended(subscription, at_once=at_once)
        if not local.subscriptions:
            self._close(local)
        return True

    def drop(self, subscription: Subscription, code: ErrorCode, reason: str) -> None:
        """End a subscription from the server's side; a LIVE one is told `code` and `reason` in a push."""
        was_live = subscription.state is SubscriptionState.LIVE
        # A client whose history was lost subscribes again by itself.
        at_once = code != ErrorCode.UNRECOVERABLE_POSITION
        if self.end(subscription, at_once=at_once, error=RequestError(code, reason)) and was_live:
            payload = {"topic": subscription.topic, "code": code, "reason": reason}
            subscription.connection.push("unsubscribed", payload)

    def revoke(self, key: TopicKey, user_id: UserId) -> None:
        """A user may no longer follow a topic: end LIVE subscriptions; JOINING ones ask their gates again."""
        self.revocations += 1
        local = self._topics.get(key)
        if local is None:
            return
        for subscription in list(local.subscriptions.values()):
            identity = subscription.connection.identity
            if identity is None or identity.user_id != user_id:
                continue
            if subscription.state is SubscriptionState.JOINING:
                subscription.needs_recheck = True
            else:
                self.drop(subscription, ErrorCode.PERMISSION_DENIED, "no longer allowed")

    # Publications

    def publish_now(self, key: TopicKey, draft: Draft, retention: Retention) -> Position | None:
        """As `publish`, without waiting. None, and nothing is published, if the engine must wait."""
        published = self._engine.publish_now(key, draft, retention)
        if published is None:
            return None
        if published.payload is not None:
            self.arrived(Arrival(key, published.position, published.payload))
        return published.position

    async def publish(self, key: TopicKey, draft: Draft, retention: Retention) -> Position:
        """Number, store and deliver a publication.

        Raises RequestError(conflict) for a reused idempotency key, EngineUnavailableError.
        """
        published = await self._engine.publish(key, draft, retention)
        if published.payload is not None:
            self.arrived(Arrival(key, published.position, published.payload))
        return published.position

    def arrived(self, arrival: Arrival) -> None:
        """Handle a publication from this node or from another one."""
        local = self._topics.get(arrival.key)
        if local is None:
            return
        epoch, offset, tail = arrival.position.epoch, arrival.position.offset, local.tail
        if not local.epoch:
            # The read that opens the topic may have seen the position before this publication.
            local.is_suspect = True
            return
        if epoch != local.epoch:
            self.look_again(local)
            return
        if offset <= tail.offset:
            return
        local.newest = max(local.newest, offset)
        if local.repair is not None:
            return
        if offset > tail.offset + 1:
            self._gaps.hold(local, offset, arrival.payload)
            return
        self._deliver(local, arrival.payload)
        while local.held is not None and (payload := self._gaps.next_of(local)) is not None:
            self._deliver(local, payload)

    async def compare(self, missed: Collection[TopicKey] | None = ()) -> None:
        """Compare topics with their history: the bus may lose publications without any sign.

        `Comparisons` says when a topic is due; those of `missed` are due now (None: all). Raises EngineUnavailableError.
        """
        now_s = self._clock()
        due = self._due(missed, now_s)
        for batch in _batches(due, POSITIONS_AT_ONCE):
            known = [local.position for local in batch]
            positions = await self._engine.positions([local.key for local in batch])
            for local, before, position in zip(batch, known, positions, strict=True):
                self._comparisons.compared(local, now_s)
                self._compare(local, before, position)

    def _due(self, missed: Collection[TopicKey] | None, now_s: float) -> list[LocalTopic]:
        if missed is None:
            return [each for each in self._topics.values() if not _opens_later(each)]
        found = [local for key in missed if (local := self._topics.get(key)) and not _opens_later(local)]
        return list(dict.fromkeys([*found, *self._comparisons.due(now_s)]))

    def look_again(self, local: LocalTopic) -> None:
        """Read the topic's position again, because what is known about it may be wrong."""
        local.is_suspect = True
        self._start_repair(local)

    def heard_of(self, local: LocalTopic, position: Position) -> None:
        """Note that the topic was at `position` in the history; a gap repair follows if the hub stays behind."""
        if position.epoch != local.epoch:
            self.look_again(local)
            return
        local.newest = max(local.newest, position.offset)
        if local.offset < local.newest:
            self._gaps.wait(local)

    async def look_now(self, local: LocalTopic) -> None:
        """`look_again`, and wait until it is done; raises EngineUnavailableError."""
        self.look_again(local)
        if local.repair is not None:
            await asyncio.wait([local.repair])
        if local.is_suspect:
            raise EngineUnavailableError("The topic could not be read again.")

    def cache(self, local: LocalTopic, page: Page) -> list[bytes]:
        """Return the encoded payloads of a page; kept for later requests if they lead to the topic's epoch."""
        publications = page.publications or []
        payloads = [encode_bytes(publication) for publication in publications]
        if payloads and local.retention.size and page.position.epoch == local.epoch:
            before = local.tail.size_bytes
            local.tail.extend_back(publications[0].offset, payloads, self._clock())
            self._count_cached(local, before)
        return payloads

    def kept_after(self, local: LocalTopic, offset: int) -> list[bytes] | None:
        """The payloads delivered after `offset`; None if some of them are no longer in memory."""
        before = local.tail.size_bytes
        payloads = local.tail.after(offset, self._clock())
        self._count_cached(local, before)
        return payloads

    def forget_tail(self, key: TopicKey) -> None:
        """Forget the tail, because the topic's history was rewritten: the next reads come from the history."""
        local = self._topics.get(key)
        if local is not None:
            self._forget_cached(local)

    def _deliver(self, local: LocalTopic, payload: bytes) -> None:
        now_s = self._clock()
        self._comparisons.used(local, now_s)
        local.fanout.times = self._metrics.delivery_times
        tail = local.tail
        if local.retention.size:
            before = tail.size_bytes
            tail.append(payload, now_s)
            self._count_cached(local, before)
        else:
            tail.offset += 1
        local.newest = max(local.newest, tail.offset)
        if local.is_epoch_untold:
            local.is_epoch_untold = False
            payload = with_epoch(payload, local.epoch)
        local.fanout.add(tail.offset, PreparedMessage(publication_text(payload)))
        self._turns.add(local.fanout)

    def _count_cached(self, local: LocalTopic, before_bytes: int) -> None:
        """Update the total when a tail has changed; above `cache_bytes`, clear the least recently used."""
        if self._topics.get(local.key) is not local:
            # The topic was closed while its history was read, so nothing will be read from this tail.
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
        """`before` is the topic's position on this node at the time its `position` was requested."""
        if not local.is_open or self._topics.get(local.key) is not local or local.epoch != before.epoch:
            return
        if position.epoch != local.epoch or position.offset < before.offset:
            self.look_again(local)
        else:
            self.heard_of(local, position)

    def _give_up(self, local: LocalTopic) -> None:
        """Read the publication that has not come, or go on without it if the topic has no history."""
        if self._topics.get(local.key) is not local:
            return
        if local.retention.size:
            self._start_repair(local)
            return
        for offset, payload in self._gaps.take_all(local):
            local.tail.offset = offset - 1
            self._deliver(local, payload)

    def _start_repair(self, local: LocalTopic) -> None:
        if local.repair is None:
            # It reads them with the rest.
            self._gaps.take_all(local)
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
            # Marked active, so that the next comparison comes soon and tries again.
            self._comparisons.used(local, self._clock())
            local.is_suspect = True
            logger.warning("The history cannot be reached; a topic is repaired later")
        finally:
            local.repair = None

    def _take(self, local: LocalTopic, since: Position, page: Page) -> bool:
        """Deliver what a gap repair has read; False if the history was lost or nothing more is expected."""
        if self._topics.get(local.key) is not local:
            return False
        if page.publications is None:
            self._lost(local, page.position)
            return False
        if page.position.epoch != local.epoch:
            local.go_on_in(page.position)
        for publication in page.publications:
            if publication.offset == local.offset + 1:
                self._deliver(local, encode_bytes(publication))
        local.newest = max(local.newest, page.position.offset)
        self._metrics.gaps_repaired += local.offset > since.offset
        return local.position != since or local.is_suspect

    def _lost(self, local: LocalTopic, position: Position) -> None:
        """Missing publications are gone: end LIVE subscriptions; JOINING ones find a new epoch or offset."""
        live = [each for each in local.subscriptions.values() if each.state is SubscriptionState.LIVE]
        # Called first: ending the last subscription closes the topic, and a JOINING one may still need it.
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
            self.cache(local, page)
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
        self._gaps.take_all(local)
        del self._topics[local.key]
        self._comparisons.remove(local)
        if local.opening is not None:
            # The engine runs `attach` and `detach` in the order they are called.
            self._spawn(self._engine.detach(local.key))


def _opens_later(local: LocalTopic) -> bool:
    """Whether the topic is still being opened: what it reads may be older than what was missed, so it looks again."""
    if not local.is_open:
        local.is_suspect = True
    return not local.is_open


def _batches(items: list[LocalTopic], size: int) -> Iterator[list[LocalTopic]]:
    remaining: Iterable[LocalTopic] = iter(items)
    while batch := list(islice(remaining, size)):
        yield batch
