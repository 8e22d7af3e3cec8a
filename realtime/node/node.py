"""The objects that a process has one of. They are built here and passed on; nothing else here is global."""

import asyncio
import logging
import os
import secrets
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from concurrent.futures import Future
from datetime import UTC, datetime
from time import time_ns
from typing import Any, TypeVar

import msgspec
from django.conf import settings as django_settings
from django.utils.module_loading import import_string

from realtime.conf import RealtimeSettings, load_settings
from realtime.core.history import Change, Draft, Publisher
from realtime.core.identity import UserId, as_user_id
from realtime.core.liveness import NodeState
from realtime.core.position import Position
from realtime.core.presence_table import Key
from realtime.core.quota import ConnectionQuota, HandshakeLimiter
from realtime.core.revocations import Revocation
from realtime.core.topics import TopicKey, TopicRules
from realtime.node import credentials, operations, outbox_rows
from realtime.node.audit import AuditRetention
from realtime.node.bans import BanBook
from realtime.node.blocking import BlockWatch
from realtime.node.broker_watch import BrokerWatch
from realtime.node.control import (
    CONTROL_GROUP,
    OUTBOX_GROUP,
    RECHECKS_GROUP,
    REVOCATIONS_GROUP,
    Control,
    EndSubscriptions,
    Recheck,
)
from realtime.node.credentials import Credentials, Table
from realtime.node.database import Database, build_database
from realtime.node.draining import close_evenly
from realtime.node.engine import build_attempts, build_engine
from realtime.node.exchange import ASKED_GROUP, Answers, Exchange
from realtime.node.figures import Reporter, site_mark
from realtime.node.joining import Joiner
from realtime.node.logs import name_process, process_context
from realtime.node.observer import Observer
from realtime.node.operations import Operations
from realtime.node.ports import Authenticator, TenantDirectory
from realtime.node.publish_failures import PublishFailure, load_reporter, report
from realtime.node.quotas import QuotaBook
from realtime.node.rewrites import REWRITES_GROUP, Rewrites
from realtime.node.sampler import Sampler
from realtime.node.sweeps import Sweeps
from realtime.node.topic_order import TopicOrder
from realtime.node.transactional_outbox import TransactionalOutbox
from realtime.protocol.codec import time_text
from realtime.protocol.handshake import BATCH_SUBPROTOCOL
from realtime.sockets.asgi_outbox import make_outbox
from realtime.sockets.backlogs import Backlogs
from realtime.sockets.connection import Connection
from realtime.sockets.metrics import LoopLag, Metrics
from realtime.sockets.outbox import Outbox, WriteCoalescer
from realtime.sockets.types import Scope, Send
from realtime.topics.cluster import Cluster
from realtime.topics.engine.drafts import make_draft
from realtime.topics.engine.ports import Bus, Engine, History
from realtime.topics.hub import Hub
from realtime.topics.presence import Presence

logger = logging.getLogger(__name__)

S = TypeVar("S")

# Seconds that a process that starts waits for older ones, with a broker. It serves afterwards in any case.
MEET_WITHIN_S = 0.5


class Node:
    """One process's hub, engine, registry, database threads, limits and figures."""

    def __init__(self, settings: RealtimeSettings, *, tables: Sequence[Table] | None = None) -> None:
        """`tables` are the rows that decide who may connect (None: bans and quotas, and the audit log's age)."""
        self.settings = settings
        self.id = secrets.token_hex(6)
        self.started_at = datetime.now(UTC)
        self.metrics = Metrics()
        # Read again when it is needed; a wrong name stops the start.
        load_reporter(settings.PUBLISH_ERRORS)
        self.loop_lag = LoopLag(times=self.metrics.lag_times)
        self.figures = Reporter(self)
        self.observer = Observer(self.metrics)
        self.quota = ConnectionQuota()
        self.handshakes = HandshakeLimiter(settings.ATTEMPTS_PER_S, settings.ATTEMPTS_BURST)
        self.rules = TopicRules(settings.TOPIC_RULES)
        self.coalescer = WriteCoalescer()
        self.backlogs = Backlogs(settings.OUTBOXES_BYTES)
        self.directory = self.build_directory()
        self.authenticator: Authenticator = import_string(settings.IDENTITY)()
        self.connections: dict[str, Connection] = {}
        self.bans = BanBook(self.connections)
        self.quotas = QuotaBook()
        self.topic_order = TopicOrder()
        if tables is None:
            tables = (self.bans, self.quotas, AuditRetention(settings))
        self.credentials = Credentials(self.authenticator, self.directory, tables)
        # The objects that apps keep for this process, by type.
        self._shared: dict[type, Any] = {}
        # Names handlers that hold the event loop; None without DEBUG.
        self.block_watch: BlockWatch | None = BlockWatch() if django_settings.DEBUG else None
        # Whether what is sent is checked against its declared type.
        self.checks_contracts = settings.CHECK_CONTRACTS or django_settings.DEBUG
        self.is_draining = False
        self.loop: asyncio.AbstractEventLoop | None = None
        self._pid = 0
        self._outbox: TransactionalOutbox | None = None
        self._starting: asyncio.Task[None] | None = None
        self._is_started = False
        self._tasks: set[asyncio.Task[None]] = set()
        # Run as tasks from the start on.
        self.on_start: list[Callable[[Node], Coroutine[Any, Any, None]]] = []
        # Called after the database threads have ended.
        self.on_stop: list[Callable[[], Awaitable[None]]] = []

    @property
    def is_started(self) -> bool:
        """Whether the node has started and may serve."""
        return self._is_started

    @property
    def serves_here(self) -> bool:
        """True if this process itself serves: the node has started, and not in the parent of a fork."""
        loop = self.loop
        return self._is_started and loop is not None and loop.is_running() and self._pid == os.getpid()

    def nodes(self) -> list[NodeState]:
        """The nodes that are alive, including this one, each as of its last beat; empty before the start."""
        return self.cluster.nodes() if self._is_started else []

    def open_elsewhere(self, tenant: str) -> int:
        """Return how many connections a tenant has on the other nodes, as of their last beats (at most 2 s ago)."""
        return sum(each.figures.active(tenant) for each in self.nodes() if each.node != self.id)

    async def ensure_started(self) -> None:
        """Start at the first use, because servers without lifespan events do not tell when they start."""
        if self._starting is None:
            self._starting = asyncio.create_task(self._start(), context=process_context())
        if not self._starting.done():
            await asyncio.shield(self._starting)
        elif self._starting.exception() is not None:
            # The database was unreachable, or not migrated yet: the next request tries again.
            self._starting = None
            await self.ensure_started()

    async def meet(self) -> None:
        """Wait for the figures of older nodes, so that a process that serves reports the same as they do."""
        if self.settings.REDIS_URL and self.bus.is_open:
            await self.cluster.learned(MEET_WITHIN_S)

    async def stop(self) -> None:
        """End the background work and close the engine."""
        if not self.is_started:
            return
        await self.topic_order.finish()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.presence.stop()
        await self.cluster.stop()
        await self.bus.stop()
        await self.history.close()
        for database in (self.credentials.database, self.background, self.database):
            await database.close()
        for stop in self.on_stop:
            await stop()

    async def drain(self) -> None:
        """Accept no new connections and close the open ones, spread evenly over DRAIN_S seconds."""
        self.is_draining = True
        await close_evenly(list(self.connections.values()), within_s=self.settings.DRAIN_S)

    def open(self, scope: Scope, send: Send, *, is_json: bool) -> Connection:
        """Make the connection of an accepted socket."""
        metrics = self.observer.route_metrics(scope)
        has_batches = is_json and scope["subprotocol"] == BATCH_SUBPROTOCOL
        settings = self.settings

        def outbox_of(connection: Connection) -> Outbox:
            return make_outbox(
                scope,
                send,
                settings.OUTBOX_BYTES,
                connection.fall_behind,
                metrics,
                self.coalescer,
                has_batches=has_batches,
                deflate_min_bytes=settings.COMPRESSION_MIN_BYTES,
                backlogs=self.backlogs,
                cut=connection.cut,
            )

        connection = Connection(scope, outbox_of, settings=settings, metrics=metrics, is_json=is_json)
        connection.tenant_rate = self.quotas.rate(connection.tenant.slug)
        self.connections[connection.id] = connection
        self.observer.opened(connection)
        self.credentials.opened(connection)
        # A ban may have come during the handshake.
        self.bans.close_if_banned(connection)
        return connection

    async def release(self, connection: Connection, code: int) -> None:
        """Release everything that a connection held, when it has ended."""
        connection.end_subscriptions(at_once=False)
        try:
            await connection.release()
        finally:
            # In `finally`, because the caller may be cancelled while the connection's tasks end.
            del self.connections[connection.id]
            self.credentials.released(connection)
            self.observer.closed(connection, code)

    def shared(self, kind: type[S], make: Callable[[], S]) -> S:
        """The process's only object of this type, made at the first use; apps keep shared state in it."""
        # Requests ask for it from threads too: the first that stores it wins.
        found: S = self._shared[kind] if kind in self._shared else self._shared.setdefault(kind, make())
        return found

    def spawn(self, work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        """Run `work` as a task of this process; its failure is logged."""
        # Whichever connection gave rise to it: its log lines are the process's.
        task = asyncio.get_running_loop().create_task(work, context=process_context())
        self._tasks.add(task)
        task.add_done_callback(self._task_done)
        return task

    def submit(self, work: Coroutine[Any, Any, S]) -> "Future[S]":
        """Run `work` on the loop of this node, for a caller in another thread."""
        assert self.loop is not None
        return asyncio.run_coroutine_threadsafe(work, self.loop)

    async def publish(self, tenant: str, topic: str, draft: Draft) -> Position:
        """Publish for the server: the topic's rule sets the retention; its publish gate is not asked."""
        return await self.hub.publish(TopicKey(tenant, topic), draft, self.rules.rule(topic).retention)

    async def announce(
        self,
        topic: str,
        data: Any,
        *,
        tenant: str,
        publisher: Publisher | None = None,
        idempotency_key: str | None = None,
    ) -> Position:
        """As `publish`, for data that is not encoded; raises RequestError(invalid_message) if JSON cannot
        hold it, and RequestError(message_too_large) above PUBLICATION_BYTES."""
        draft = make_draft(
            topic,
            data,
            publisher,
            time=time_text(time_ns()),
            idempotency_key=idempotency_key,
            max_bytes=self.settings.PUBLICATION_BYTES,
            contract=self.rules.contract_of(topic) if self.checks_contracts else None,
        )
        return await self.publish(tenant, topic, draft)

    async def newest(self, topic: str, *, tenant: str, limit: int) -> list[Any]:
        """Return the data of a topic's newest publications, the oldest of them first, as far as its history has them.

        Raises EngineUnavailableError.
        """
        page = await self.history.latest(TopicKey(tenant, topic), limit, 0)
        return [msgspec.json.decode(each.data) for each in page.publications or []]

    async def present(self, topic: str, *, tenant: str, limit: int) -> frozenset[UserId]:
        """Return the ids of the users who follow a topic now, on any node; none if more than `limit`, to spare the loop."""
        key = (tenant, topic)
        users = self.cluster.users(key) if self.cluster.count(key) <= limit else []
        return frozenset(user.id for user in users)

    async def present_count(self, topic: str, *, tenant: str) -> int:
        """Return how many users follow a topic now, on any node."""
        return self.cluster.count((tenant, topic))

    async def end_subscriptions(self, tenant: str, topic: str, user_id: UserId) -> None:
        """End a user's subscriptions to a topic, here and on the other nodes."""
        ended = EndSubscriptions(tenant, topic, as_user_id(user_id))
        self._end_subscriptions(ended)
        await self.control.tell(CONTROL_GROUP, msgspec.msgpack.encode(ended))

    async def rewrite_history(self, tenant: str, topic: str, change: Change) -> None:
        """Replace data in the history of a topic, now and once more some seconds later, on every node.

        Raises EngineUnavailableError; the second time may still succeed.
        """
        await self.rewrites.rewrite(TopicKey(tenant, topic), change)

    def look_into_outbox(self) -> None:
        """A transaction stored a publication: send it now. On the loop."""
        if self._outbox is not None:
            self._outbox.wake()

    async def recheck(self, user_id: UserId | None) -> None:
        """Ask again about the open connections of a user, or of all, here and on the other nodes."""
        asked = Recheck(None if user_id is None else as_user_id(user_id))
        await self.control.tell(RECHECKS_GROUP, msgspec.msgpack.encode(asked))
        await self._recheck(asked)

    async def revoke(self, revocations: Sequence[Revocation]) -> None:
        """Close, at once, the connections that `revocations` end, here and on the other nodes."""
        self.credentials.revoke(revocations)
        await self.control.tell(REVOCATIONS_GROUP, credentials.encode(revocations))

    async def read_all(self, operation: Any) -> Answers:
        """Ask every node what `operation` reads; nodes that do not answer in time are left out."""
        return await self.exchange.read(operations.encode(operation))

    async def act_all(self, operation: Any) -> Answers:
        """Carry out `operation` on every node, and collect their results."""
        return await self.exchange.act(operations.encode(operation), self.control.tell)

    def build_directory(self) -> TenantDirectory:
        """Return the directory of tenants, as configured."""
        directory: TenantDirectory = import_string(self.settings.TENANTS)()
        return directory

    def build_databases(self) -> tuple[Database, Database, Database]:
        """Return the threads for requests, for background work (sending and sweeping) and for credentials.

        The last two have one thread each, because they must not wait for the queries of clients.
        """
        wait_s = self.settings.DATABASE_WAIT_S
        return build_database(self.settings), Database(1, wait_s), Database(1, wait_s)

    def build_engine(self) -> tuple[History, Bus, Engine]:
        """Return the history and the bus, as configured, and the engine over both."""
        return build_engine(self.settings)

    async def _start(self) -> None:
        self.loop = asyncio.get_running_loop()
        self._pid = os.getpid()
        self._build()
        await self.credentials.load()
        await self.bus.start(self._on_message)
        await self.control.start()
        await self.cluster.start()
        self._begin_work()
        self._is_started = True
        name_process(self.id, self.figures.place.worker)
        for work in self.on_start:
            self.spawn(work(self))

    def _build(self) -> None:
        """Make the parts that belong to a loop. Each is handed the parts that it uses."""
        self.database, self.background, self.credentials.database = self.build_databases()
        self.history, self.bus, self.engine = self.build_engine()
        self.attempts = build_attempts(self.history)
        self.cluster = Cluster(
            self.id,
            self.bus,
            started=self.started_at.isoformat(),
            figures=self.figures.own,
            on_presence=self._presence_changed,
            site=site_mark(),
        )
        self._build_topics()
        self.exchange = Exchange(
            self.id,
            self.bus,
            self.spawn,
            peers=lambda: [state.node for state in self.cluster.nodes()],
            perform=Operations(self).perform,
        )
        self.control = Control(self.bus, self.spawn, self._control_handlers())
        self.rewrites = Rewrites(self.history, self.hub, self.control.tell, self.spawn)
        self.sweeps = Sweeps(
            self.settings, self.connections, self.history, self.hub, self.joiner, self.credentials
        )
        self.bus.on_gap = self._missed_some

    def _build_topics(self) -> None:
        self.presence = Presence(self.cluster, self.coalescer)
        self.hub: Hub = Hub(
            self.engine,
            self.spawn,
            self.presence,
            self.coalescer,
            tail_max_bytes=self.settings.HISTORY_BYTES_PER_TOPIC,
            metrics=self.metrics,
        )
        self.engine.arrived = self.hub.arrived
        self.joiner: Joiner = Joiner(
            self.hub, self.rules, self.database, self.settings.MAX_SUBSCRIPTIONS, watch=self.block_watch
        )

    def _control_handlers(self) -> dict[str, Callable[[bytes], None]]:
        """The functions that handle messages between nodes, by group of the bus."""
        handlers: dict[str, Callable[[bytes], None]] = {
            CONTROL_GROUP: self._told_to_end,
            REVOCATIONS_GROUP: self.credentials.on_message,
            RECHECKS_GROUP: self._told_to_recheck,
            ASKED_GROUP: self.exchange.asked,
            self.exchange.reply_group: self.exchange.answered,
            REWRITES_GROUP: self._told_of_rewrite,
        }
        if self._has_outbox:
            handlers[OUTBOX_GROUP] = lambda body: self.look_into_outbox()
        return handlers

    def _begin_work(self) -> None:
        """Start what runs for as long as the node does."""
        if self.settings.REDIS_URL:
            # Only the history over a broker has something to begin with. Its class needs the extra `redis`.
            if begin := getattr(self.history, "begin", None):
                self.spawn(begin())
            self.spawn(self.shared(BrokerWatch, BrokerWatch).run(self.settings.REDIS_URL))
        for sweep in self.sweeps.all(self.database):
            self.spawn(sweep)
        if self._has_outbox:
            self._start_outbox()
        if self.settings.SAMPLE_INTERVAL_S:
            self.spawn(Sampler(self).run())
        self.spawn(self.loop_lag.run())

    @property
    def _has_outbox(self) -> bool:
        return self.settings.TRANSACTIONAL_OUTBOX and outbox_rows.is_supported()

    def report(self, failure: PublishFailure) -> None:
        """Report a failure after a commit. On the loop."""
        report(
            failure, self.metrics, self.settings.PUBLISH_ERRORS, lambda do: self.spawn(self.database.run(do))
        )

    def _start_outbox(self) -> None:
        age_s = self.settings.TRANSACTIONAL_OUTBOX_MAX_AGE_S
        self._outbox = TransactionalOutbox(
            self.id, self.background, self.publish, self.report, max_age_s=age_s
        )
        self.spawn(self._outbox.run())

    def _on_message(self, group: str, body: bytes) -> None:
        if self.cluster.is_own_group(group):
            self.cluster.on_message(body)
        elif self.control.is_own_group(group):
            self.control.on_message(group, body)
        else:
            self.engine.on_message(group, body)

    def _missed_some(self, groups: Sequence[str]) -> None:
        """The bus may have lost messages to these groups."""
        has_control = any(map(self.control.is_own_group, groups))
        self.sweeps.notice_gap(self.engine.attached(groups), is_control_missed=has_control)

    def _told_to_end(self, body: bytes) -> None:
        self._end_subscriptions(msgspec.msgpack.decode(body, type=EndSubscriptions))

    def _end_subscriptions(self, ended: EndSubscriptions) -> None:
        self.hub.revoke(TopicKey(ended.tenant, ended.topic), ended.user_id)
        self.presence.removed(ended.tenant, ended.topic, ended.user_id)

    def _told_of_rewrite(self, body: bytes) -> None:
        self.rewrites.told(body)

    def _told_to_recheck(self, body: bytes) -> None:
        self.spawn(self._recheck(msgspec.msgpack.decode(body, type=Recheck)))

    async def _recheck(self, asked: Recheck) -> None:
        await self.credentials.recheck(asked.user_id)
        for connection in self.credentials.connections_of(asked.user_id):
            # Strict, because there is no later check: what cannot be judged ends, and its client subscribes anew.
            await self.joiner.judge_again(connection, is_strict=True)

    def _presence_changed(self, key: Key) -> None:
        self.presence.changed(key)

    def _task_done(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("A background task failed", exc_info=error)


class _Current:
    """Holds the node of this process. The composition root installs it; tests replace it."""

    node: Node | None = None


def current_node() -> Node:
    """The node of this process, built on first use."""
    if _Current.node is None:
        _Current.node = Node(load_settings())
    return _Current.node


def install(node: Node | None) -> None:
    """Make `node` the node of this process (None: build a new one at the next use)."""
    _Current.node = node
