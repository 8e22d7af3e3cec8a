"""The engine for a single process: everything is in memory, needs no set-up, and is lost at a restart."""

import asyncio
import hashlib
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from realtime.conf import default_of
from realtime.core.epochs import Epochs
from realtime.core.history import Change, Draft, Publication, TenantHistory, TopicHistory
from realtime.core.position import Position
from realtime.core.shares import Shares
from realtime.core.topics import Retention, TopicKey
from realtime.core.used_keys import Used, UsedKeys, key_name
from realtime.protocol.codec import encode_bytes
from realtime.protocol.errors import ErrorCode, RequestError
from realtime.topics.engine.ports import IDEMPOTENCY_TTL_S, Added, Arrival, Ask, OnMessage, Page, Published

# Steps of one sweep call. A step checks a topic, or drops a publication or a key.
SWEPT_PER_CALL = 5_000
# The tenant that holds the most is found with an error of at most 1/SHARE_STEPS of the process's bound.
SHARE_STEPS = 4096


@dataclass(frozen=True, slots=True)
class Budgets:
    """Bounds for the histories of a process; 0 switches a bound off. Bytes are of `Publication.size_bytes`.

    Above the bytes of a topic or a tenant, its oldest publications are dropped. Above a tenant's number of
    topics, the least recently used ones are dropped; above its number of idempotency keys, the oldest of the
    publisher with the most. Above a bound of the process, the tenant that holds the most drops what it would
    drop above its own bound. So a tenant never loses data to one that holds less.
    """

    topic_bytes: int = default_of("HISTORY_BYTES_PER_TOPIC")
    tenant_bytes: int = default_of("HISTORY_BYTES_PER_TENANT")
    process_bytes: int = default_of("HISTORY_BYTES_PER_PROCESS")
    tenant_topics: int = default_of("MAX_TOPICS_PER_TENANT")
    process_topics: int = default_of("MAX_TOPICS")
    tenant_idempotency_keys: int = 50_000
    process_idempotency_keys: int = 200_000


class MemoryHistory:
    """Implements `History`. `clock` returns monotonic seconds, `fresh_epoch` a new name at each call."""

    def __init__(
        self,
        budgets: Budgets | None = None,
        *,
        idempotency_ttl_s: float = IDEMPOTENCY_TTL_S,
        clock: Callable[[], float] = time.monotonic,
        fresh_epoch: Callable[[], str] = lambda: secrets.token_hex(8),
    ) -> None:
        self._budgets = budgets or Budgets()
        self._idempotency_ttl_s = idempotency_ttl_s
        self._clock = clock
        self._fresh_epoch = fresh_epoch
        self._begin()

    def _begin(self) -> None:
        budgets = self._budgets
        self._epoch = self._fresh_epoch()
        # In the order in which `sweep` visits them. Tenants are never removed,
        # because their epochs must not start again.
        self._tenants: OrderedDict[str, TenantHistory] = OrderedDict()
        self._bytes: Shares[str] = Shares(budgets.process_bytes // SHARE_STEPS)
        # Tenants that hold more bytes than `_bytes` has noted, and at most how much more they all hold. It is
        # noted when the bound may be reached, not for each publication.
        self._grown: dict[str, TenantHistory] = {}
        self._grown_bytes = 0
        self._topics: Shares[str] = Shares(budgets.process_topics // SHARE_STEPS)
        self._keys: Shares[str] = Shares(budgets.process_idempotency_keys // SHARE_STEPS)

    async def add(self, key: TopicKey, draft: Draft, retention: Retention) -> Added:
        """As `History.add`."""
        return self.add_now(key, draft, retention)

    def add_now(self, key: TopicKey, draft: Draft, retention: Retention) -> Added:
        """As `add`, without an await."""
        now_s = self._clock()
        tenant = self._tenant(key.tenant)
        publisher = draft.publisher.id if draft.publisher else None
        used_name = None if draft.idempotency_key is None else key_name(key.topic, draft.idempotency_key)
        if used_name is not None and (used := tenant.used_keys.find(publisher, used_name, now_s)) is not None:
            return _repeated(used, draft)
        topics, before_bytes = len(tenant), tenant.size_bytes
        topic = tenant.topic(key.topic)
        topic.retain(size=retention.size, ttl_s=retention.ttl_s)
        offset = topic.position.offset + 1
        publication = Publication(topic.name, offset, draft.data, draft.publisher, draft.time)
        tenant.add(topic, publication, now_s)
        if used_name is not None:
            used = Used(draft.fingerprint, topic.position, now_s)
            tenant.used_keys.remember(publisher, used_name, used)
            self._keep_key_bounds(key.tenant, tenant)
        if len(tenant) > topics:
            self._keep_topic_bounds(key.tenant, tenant)
        self._keep_byte_bounds(key.tenant, tenant, before_bytes)
        return Added(topic.position, publication)

    async def position(self, key: TopicKey) -> Position:
        """As `History.position`."""
        tenant = self._tenants.get(key.tenant)
        return Position(self._tenant_epoch(key.tenant), 0) if tenant is None else tenant.position(key.topic)

    async def positions(self, keys: Sequence[TopicKey]) -> list[Position]:
        """As `History.positions`."""
        return [await self.position(key) for key in keys]

    async def since(self, key: TopicKey, position: Position, limit: int, max_bytes: int) -> Page:
        """As `History.since`."""
        topic = self._readable(key)
        if topic is None:
            now = await self.position(key)
            return Page(now, [] if position == now else None)
        return Page(topic.position, topic.since(position, limit, max_bytes))

    async def pages(self, asks: Sequence[Ask]) -> list[Page]:
        """As `History.pages`."""
        return [
            Page(await self.position(ask.key), [])
            if ask.since is None
            else await self.since(ask.key, ask.since, ask.limit, ask.max_bytes)
            for ask in asks
        ]

    async def latest(self, key: TopicKey, limit: int, max_bytes: int) -> Page:
        """As `History.latest`."""
        topic = self._readable(key)
        if topic is None:
            return Page(await self.position(key), [])
        return Page(topic.position, topic.latest(limit, max_bytes))

    async def rewrite(self, key: TopicKey, change: Change) -> None:
        """As `History.rewrite`."""
        tenant = self._tenants.get(key.tenant)
        if tenant is not None:
            before_bytes = tenant.size_bytes
            tenant.rewrite(key.topic, change)
            self._keep_byte_bounds(key.tenant, tenant, before_bytes)

    def sweep(self, now_s: float) -> None:
        """As `History.sweep`: visits the tenants in turn, at most SWEPT_PER_CALL steps in all."""
        left = SWEPT_PER_CALL
        for _ in range(min(left, len(self._tenants))):
            name, tenant = next(iter(self._tenants.items()))
            self._tenants.move_to_end(name)
            left -= 1 + tenant.sweep(now_s, left)
            self._count(name, tenant)
            if left <= 0:
                return

    async def close(self) -> None:
        """Forget everything; later publications begin a new epoch."""
        self._begin()

    def _tenant(self, name: str) -> TenantHistory:
        tenant = self._tenants.get(name)
        if tenant is None:
            epochs = Epochs(self._tenant_epoch(name), self._fresh_epoch)
            used_keys = UsedKeys(self._idempotency_ttl_s)
            tenant = TenantHistory(epochs, used_keys, topic_bytes=self._budgets.topic_bytes)
            self._tenants[name] = tenant
        return tenant

    def _tenant_epoch(self, tenant: str) -> str:
        """The store's epoch for one tenant: a position of one tenant is not valid for another."""
        return hashlib.blake2b(tenant.encode(), digest_size=8, key=self._epoch.encode()[:64]).hexdigest()

    def _readable(self, key: TopicKey) -> TopicHistory | None:
        tenant = self._tenants.get(key.tenant)
        if tenant is None:
            return None
        topic = tenant.readable(key.topic, self._clock())
        self._bytes.set(key.tenant, tenant.size_bytes)
        return topic

    def _count(self, name: str, tenant: TenantHistory) -> None:
        self._bytes.set(name, tenant.size_bytes)
        self._topics.set(name, len(tenant))
        self._keys.set(name, len(tenant.used_keys))

    # Each of these drops what exceeds its bounds, one item at a time. An item is dropped once, so a call is
    # O(1) on average.

    def _keep_byte_bounds(self, name: str, tenant: TenantHistory, before_bytes: int) -> None:
        budgets = self._budgets
        while 0 < budgets.tenant_bytes < tenant.size_bytes:
            tenant.drop_oldest()
        if tenant.size_bytes > before_bytes:
            self._grown_bytes += tenant.size_bytes - before_bytes
            self._grown[name] = tenant
        if not 0 < budgets.process_bytes < self._bytes.total + self._grown_bytes:
            return
        for grown, its in self._grown.items():
            self._bytes.set(grown, its.size_bytes)
        self._grown.clear()
        self._grown_bytes = 0
        while budgets.process_bytes < self._bytes.total:
            self._take(self._bytes, TenantHistory.drop_oldest)

    def _keep_topic_bounds(self, name: str, tenant: TenantHistory) -> None:
        budgets = self._budgets
        while 0 < budgets.tenant_topics < len(tenant):
            tenant.forget_topic()
        self._count(name, tenant)
        while 0 < budgets.process_topics < self._topics.total:
            self._take(self._topics, TenantHistory.forget_topic)

    def _keep_key_bounds(self, name: str, tenant: TenantHistory) -> None:
        budgets = self._budgets
        while 0 < budgets.tenant_idempotency_keys < len(tenant.used_keys):
            tenant.used_keys.drop_one()
        self._count(name, tenant)
        while 0 < budgets.process_idempotency_keys < self._keys.total:
            self._take(self._keys, lambda largest: largest.used_keys.drop_one())

    def _take(self, shares: Shares[str], give: Callable[[TenantHistory], None]) -> None:
        name = shares.largest()
        assert name is not None
        give(self._tenants[name])
        self._count(name, self._tenants[name])


def _repeated(used: Used, draft: Draft) -> Added:
    if used.fingerprint != draft.fingerprint:
        raise RequestError(ErrorCode.CONFLICT, "This idempotency key was used with other data.")
    return Added(used.position, None)


class MemoryEngine:
    """Implements `Engine` for a process that is alone: there is nothing to wait for, and no other node."""

    def __init__(self, history: MemoryHistory) -> None:
        self._history = history
        self.arrived: Callable[[Arrival], None] | None = None
        self.pages = history.pages
        self.positions = history.positions

    def publish_now(self, key: TopicKey, draft: Draft, retention: Retention) -> Published:
        """As `Engine.publish_now`."""
        added = self._history.add_now(key, draft, retention)
        publication = added.publication
        payload = None if publication is None else encode_bytes(publication)
        return Published(added.position, payload)

    async def publish(self, key: TopicKey, draft: Draft, retention: Retention) -> Published:
        """As `Engine.publish`."""
        return self.publish_now(key, draft, retention)

    async def attach(self, key: TopicKey) -> None:
        """As `Engine.attach`: no other node publishes."""

    async def detach(self, key: TopicKey) -> None:
        """As `Engine.detach`."""

    def attached(self, groups: Iterable[str]) -> list[TopicKey]:
        """As `Engine.attached`: nothing comes from elsewhere."""
        return []

    def on_message(self, group: str, body: bytes) -> None:
        """As `Engine.on_message`: no other node sends."""


class MemoryExchange:
    """Connects the buses of several nodes in one process, in place of a broker; used in tests."""

    def __init__(self) -> None:
        # In the order in which they started: a set would have another order in each run.
        self.buses: dict[MemoryBus, None] = {}

    def carry(self, sender: "MemoryBus", receiver: "MemoryBus", group: str, body: bytes) -> None:
        """Bring a message to one bus, in the next loop iteration."""
        asyncio.get_running_loop().call_soon(receiver.deliver, group, body)


class MemoryBus:
    """Delivers in the next loop iteration. Reaches only its own node unless it
    shares an exchange with others."""

    is_open = True

    def __init__(self, exchange: MemoryExchange | None = None) -> None:
        self.on_gap: Callable[[Sequence[str]], None] | None = None
        self._exchange = exchange or MemoryExchange()
        self._groups: set[str] = set()
        self._on_message: OnMessage | None = None

    async def start(self, on_message: OnMessage) -> None:
        """As `Bus.start`."""
        self._on_message = on_message
        self._exchange.buses[self] = None

    async def stop(self) -> None:
        """As `Bus.stop`."""
        self._exchange.buses.pop(self, None)
        self._groups.clear()
        self._on_message = None

    async def join(self, group: str) -> None:
        """As `Bus.join`."""
        self._groups.add(group)

    async def leave(self, group: str) -> None:
        """As `Bus.leave`."""
        self._groups.discard(group)

    async def send(self, group: str, body: bytes, *, to_self: bool = False) -> None:
        """As `Bus.send`; never raises."""
        for bus in list(self._exchange.buses):
            if (to_self or bus is not self) and bus.has_joined(group):
                self._exchange.carry(self, bus, group, body)

    def joined(self) -> list[str]:
        """Return the groups that this node receives messages of."""
        return sorted(self._groups)

    def has_joined(self, group: str) -> bool:
        """Whether this node receives messages sent to `group`."""
        return group in self._groups

    def deliver(self, group: str, body: bytes) -> None:
        """Called by the loop one iteration after the send; a group that was
        left meanwhile receives nothing."""
        if self._on_message is not None and group in self._groups:
            self._on_message(group, body)
