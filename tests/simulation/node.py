"""One node of the real project on the simulator's ports. All that knows how the project is put together is here."""

import asyncio
import contextvars
import dataclasses
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable, Mapping
from time import time_ns
from typing import Any

import msgspec

import realtime.node.audit
import realtime.node.bans
import realtime.node.credentials
import realtime.node.node
import realtime.node.quotas
import realtime.node.sweeps
import realtime.topics.comparisons
from realtime.conf import RealtimeSettings
from realtime.core.identity import CredentialKind, Identity, Tenant, UserId
from realtime.core.presence_table import PRESENCE_GRACE_S
from realtime.core.revocations import Revocation, RevocationKind
from realtime.core.topics import TopicRule
from realtime.endpoints.consumers.pubsub import PubSubConsumer
from realtime.endpoints.registry import Registry
from realtime.endpoints.routing import websocket
from realtime.endpoints.shared import Endpoints
from realtime.endpoints.verbs import Call, Verb
from realtime.endpoints.watches import Watches
from realtime.node.control import CONTROL_GROUP, REVOCATIONS_GROUP, EndSubscriptions
from realtime.node.node import Node as RealNode
from realtime.protocol.codec import time_text
from realtime.protocol.envelope import Reply
from realtime.protocol.errors import RequestError
from realtime.protocol.handshake import BATCH_SUBPROTOCOL, SUBPROTOCOL
from realtime.sockets.connection import Connection
from realtime.sockets.metrics import LoopLag
from realtime.sockets.subscription import SubscriptionState
from realtime.sockets.transport import TRANSPORT_EXTENSION
from realtime.testing.loop import OWNER, Owner
from realtime.topics.engine.combined import CombinedEngine
from realtime.topics.engine.drafts import make_draft
from realtime.topics.engine.ports import EngineUnavailableError
from realtime.topics.hub import Hub
from realtime.topics.local_topic import LocalTopic
from tests.simulation.bounds import replace, shrink_bounds
from tests.simulation.clients import WIDE
from tests.simulation.faults import Dice
from tests.simulation.plan import ClientPlan, Plan
from tests.simulation.ports import (
    SESSION,
    Broker,
    FaultyBus,
    FaultyDatabase,
    FaultyHistory,
    Line,
    Store,
    WhenDelivering,
    WhenWaiting,
)
from tests.simulation.record import Key, Mark, Record, Session
from tests.simulation.sockets import Socket

# Seconds after which everything that was lost is made good: gaps found, silent nodes dropped, the grace over.
HEAL_S = 30.0
# Seconds for a publication to reach everybody on whole lines.
REACH_S = 1.0
# Seconds after the last client has gone until nothing may be left of it (a close that is not answered takes 10).
GONE_S = 25.0
# Seconds for which a user whose socket just ended stays present.
GRACE_S = PRESENCE_GRACE_S
WIDE_OUTBOX_BYTES = 1024 * 1024
# Between looks that are of no use here, in seconds.
SELDOM_S = 5.0
# After which a topic is quiet, and how often it is compared then: worlds are short.
QUIET_S = 8.0

TENANTS = {
    slug: Tenant(number, slug, slug, frozenset({slug})) for number, slug in enumerate(("acme", "globex"), 1)
}


_deliver_really = Hub._deliver
_SUBSCRIBE = PubSubConsumer.verbs["subscribe"]


async def _subscribe(call: Call, payload: Any) -> Reply | None:
    reply = await _SUBSCRIBE.handle(call, payload)
    assert reply is not None
    node = _owner()
    if call.connection.id in node.sockets:
        completed = node.sockets[call.connection.id].session.completed
        completed[call.request.id] = msgspec.json.decode(msgspec.json.encode(reply.payload))
    return reply


class SlowSubscribe(PubSubConsumer):
    """The endpoint whose subscribes run beside its other requests, and can be cancelled.

    A call that is cancelled in the very turn in which it ends has done its work and answers `cancelled` all the same;
    so the judge is told what it had done.
    """

    verbs = {**PubSubConsumer.verbs, "subscribe": Verb(_SUBSCRIBE.payload, _subscribe, is_slow=True)}


routes = [websocket("ws/pubsub/", PubSubConsumer)]


class Directory:
    """The tenants of every world."""

    def lookup(self, host: str) -> Tenant | None:
        """As `TenantDirectory.lookup`."""
        return TENANTS.get(host)

    def refresh(self) -> None:
        """They do not change."""


class Authenticator:
    """Knows tokens by their text: tenant, user, and whether the scopes are wide."""

    def __init__(self) -> None:
        self._known = 0

    def revocations(self) -> list[Revocation]:
        """As `Authenticator.revocations`: what the table has and this process has not read yet."""
        table = _owner().revocations
        new, self._known = table[self._known :], len(table)
        return new

    def verify_token(self, token: str, tenant: Tenant) -> Identity:
        """As `Authenticator.verify_token`."""
        slug, user, width, family = token.split()
        assert slug == tenant.slug
        return identity_of(slug, int(user), width, family)

    def sweep(self) -> bool:
        """As `Authenticator.sweep`."""
        return False

    def recheck(self, identities: Iterable[Identity]) -> Mapping[Identity, int]:
        """All hold."""
        return {}


def identity_of(tenant: str, user: int, width: str, family: str) -> Identity:
    """A signed-in user."""
    scopes = frozenset({"scoped"}) if width == WIDE else frozenset[str]()
    return Identity(user, f"user{user}", tenant, scopes, CredentialKind.TOKEN, family=family)


def install() -> None:
    """Give the project the simulator's ports where it would build its own. Once a process."""
    registry = Registry([], [], [])
    replace(Registry, "discover", classmethod(lambda cls: registry))
    replace(
        realtime.node.node, "build_engine", lambda settings: (_owner().history, _owner().bus, _owner().engine)
    )
    for name in ("Database", "build_database"):
        replace(realtime.node.node, name, lambda *args, **kwargs: _owner().database)
    # The tables of operators are empty.
    for table in (
        realtime.node.bans.BanBook,
        realtime.node.quotas.QuotaBook,
        realtime.node.audit.AuditRetention,
    ):
        replace(table, "read", _empty)
        replace(table, "sweep", _empty)
    # Nobody watches queries here, and their connections to the database are ended by a thread.
    replace(Watches, "stop", _nothing)
    replace(realtime.node.sweeps, "EXPIRY_INTERVAL_S", SELDOM_S)
    replace(realtime.node.credentials, "POLL_INTERVAL_S", SELDOM_S)
    replace(realtime.topics.comparisons, "QUIET_S", QUIET_S)
    replace(Hub, "_deliver", _deliver)
    # Sets of them have the same order in every run.
    replace(Connection, "__hash__", _hash_of)


def _deliver(hub: Hub, local: LocalTopic, payload: bytes) -> None:
    _deliver_really(hub, local, payload)
    _owner().when_delivering(local.key.topic, [subscriber.id for subscriber in local.fanout.subscribers])


def _empty(_table: object) -> bool:
    return False


async def _nothing(_watches: Watches) -> None:
    return


def _hash_of(connection: Connection) -> int:
    return hash(connection.id)


def _owner() -> "Node":
    node = OWNER.get()
    assert isinstance(node, Node)
    return node


class Node(Owner):
    """A process of the site.

    `may_follow(tenant, user, topic)` is the gate's look into the database, `revocations` a table in it.
    """

    def __init__(
        self,
        name: str,
        plan: Plan,
        record: Record,
        dice: Dice,
        store: Store,
        broker: Broker,
        may_follow: Callable[[str, UserId, str], bool],
        when_waiting: WhenWaiting,
        when_delivering: WhenDelivering,
        revocations: list[Revocation],
    ) -> None:
        super().__init__(name)
        self.revocations = revocations
        self.when_delivering = when_delivering
        self.is_draining = False
        self.is_started = False
        self.sockets: dict[str, Socket] = {}
        self._serving: dict[str, asyncio.Task[None]] = {}
        self._groups_at_rest: set[str] = set()
        self._record = record
        self._dice = dice
        self.line = Line(name, dice, record, when_waiting)
        self.database = FaultyDatabase(self.line)
        self.bus = FaultyBus(self.line, broker, self._delivered)
        self.history = FaultyHistory(self.line, store, self.bus)
        self.engine = CombinedEngine(self.history, self.bus)
        self.context = contextvars.copy_context()
        self.context.run(OWNER.set, self)
        self.bus.context = self.context
        self.runtime: RealNode = self.run(lambda: RealNode(_settings(plan, may_follow)))
        # It reads the clock, which the worlds are made of, and serves development only.
        self.runtime.block_watch = None
        self.runtime.id = name
        self.endpoints = self.run(lambda: Endpoints(self.runtime))
        self.runtime.loop_lag = LoopLag(interval_s=SELDOM_S, window_s=SELDOM_S)
        shrink_bounds(plan)

    @property
    def is_alive(self) -> bool:
        """Whether it takes clients."""
        return self.is_started and not self.line.is_cut and not self.is_draining

    def spawn(self, work: Coroutine[Any, Any, None], name: str = "") -> "asyncio.Task[None]":
        """Run in the node's name."""
        task: asyncio.Task[None] = self.run(lambda: asyncio.get_running_loop().create_task(work))
        return task

    async def start(self) -> None:
        """As the server does; tried again until it works, as whoever runs it would."""
        while not self.line.is_cut:
            try:
                await self.runtime.ensure_started()
            except RequestError as error:
                self._record.add(self.name, "start fails", str(error))
                await asyncio.sleep(0.5)
            else:
                self.is_started = True
                self._groups_at_rest = set(self.bus.groups)
                self._record.add(self.name, "starts")
                return

    def serve(self, socket: Socket, plan: ClientPlan, credential: str) -> None:
        """As the server does for an accepted handshake."""
        name = socket.session.name
        identity = None
        if plan.user is not None:
            identity = identity_of(plan.tenant, plan.user, *credential.split())
        scope = {
            "type": "websocket",
            "endpoints": self.endpoints,
            "connection_id": name,
            "tenant": TENANTS[plan.tenant],
            "identity": identity,
            "route": routes[0],
            "subprotocol": BATCH_SUBPROTOCOL if plan.is_batching else SUBPROTOCOL,
            "extensions": {TRANSPORT_EXTENSION: socket} if plan.is_wire else {},
        }
        consumer = SlowSubscribe if plan.is_beside else PubSubConsumer
        self.sockets[name] = socket
        serving = self._serving[name] = self.spawn(self._serve(consumer, scope, socket))
        serving.add_done_callback(lambda _: self._served(socket))

    async def _serve(self, consumer: type[PubSubConsumer], scope: dict[str, Any], socket: Socket) -> None:
        SESSION.set(socket.session.name)
        try:
            await consumer()(scope, socket.receive, socket.send)
        finally:
            self._served(socket)

    def _served(self, socket: Socket) -> None:
        """The client sees the line go. Also where it was cut off, perhaps before its task began."""
        self.sockets.pop(socket.session.name, None)
        self._serving.pop(socket.session.name, None)
        socket.end(1006)

    # What operators, the site and fate do.

    async def publish(self, tenant: str, topic: str, data: Any) -> None:
        """From a view of the site; the caller lives with a broker that is away."""
        try:
            draft = make_draft(topic, data, time=time_text(time_ns()))
            await self.runtime.publish(tenant, topic, draft)
        except EngineUnavailableError as error:
            self._record.add(self.name, "publish fails", tenant, topic, str(error))

    async def end_subscriptions(self, tenant: str, topic: str, user: UserId, since_order: int) -> None:
        """After a removal, as the chat does it."""
        await self.runtime.end_subscriptions(tenant, topic, user)
        self.mark(tenant, topic, user, since_order, "removal")

    async def revoke(self, user: int, family: str) -> None:
        """End all credentials of a family, as a sign-out does it."""
        revocation = Revocation(RevocationKind.FAMILY, user, family, 0, None, float("inf"))
        self._record.revoked.append((self._record.add(self.name, "revokes", user, family), user))
        self.revocations.append(revocation)
        await self.runtime.revoke([revocation])
        self._mark_family(family, "its revocation")

    def close(self, session: str, code: int) -> None:
        """End a connection from here."""
        connection = self.runtime.connections.get(session)
        if connection is None or connection.is_closing:
            return
        self._record.add(self.name, "closes", session, code)
        connection.close(code, "simulated")
        self._mark_session(session, None, self._record.order, f"close {code}")

    def cut(self, session: str) -> None:
        """Cancel the task that serves a connection, as a server in a hurry does."""
        if (task := self._serving.get(session)) is not None:
            self._record.add(self.name, "cuts", session)
            task.cancel()

    def notice_gap(self) -> None:
        """The bus says that something may have been missed, as the one over a broker does when it is back."""
        self.runtime.sweeps.notice_gap()

    def grow_outboxes(self) -> None:
        """Nobody falls behind any more: small outboxes are one of the faults."""
        self.runtime.settings = dataclasses.replace(self.runtime.settings, OUTBOX_BYTES=WIDE_OUTBOX_BYTES)
        for connection in self.runtime.connections.values():
            replace(connection.outbox, "_limit_bytes", WIDE_OUTBOX_BYTES)

    async def drain(self) -> None:
        """End in good order."""
        self._record.add(self.name, "drains")
        self.is_draining = True
        await self.runtime.drain()
        for name in list(self.sockets):
            self.cut(name)
        await self.runtime.stop()
        self.line.is_cut = True
        self._record.add(self.name, "stops")

    async def kill(self) -> None:
        """End at once: nothing that it still does has any effect on others."""
        self._record.add(self.name, "dies")
        self.line.is_cut = True
        await self.bus.stop()
        for socket in list(self.sockets.values()):
            socket.end(1006)
        for _ in range(100):
            for task in self.open_tasks():
                task.cancel()
            await asyncio.sleep(0)
        self.tasks.clear()

    def _delivered(self, group: str, body: bytes) -> None:
        if group == REVOCATIONS_GROUP:
            for revocation in msgspec.msgpack.decode(body, type=list[Revocation]):
                self._mark_family(revocation.name, "its revocation elsewhere")
        elif group == CONTROL_GROUP:
            ended = msgspec.msgpack.decode(body, type=EndSubscriptions)
            who = (ended.tenant, ended.user_id, ended.topic)
            taken = [each for each in self._record.rights if not each.is_given]
            order = max(each.order for each in taken if (each.tenant, each.user, each.topic) == who)
            self.mark(ended.tenant, ended.topic, ended.user_id, order, "a removal elsewhere")

    def mark_revoked(self) -> None:
        """By now nobody is connected with what was revoked, wherever that was."""
        for revocation in self.revocations:
            self._mark_family(revocation.name, "a revocation that it noticed late")

    def _mark_family(self, family: str, cause: str) -> None:
        for name, connection in self.runtime.connections.items():
            if connection.identity is not None and connection.identity.family == family:
                self._mark_session(name, None, self._record.order, cause)

    def mark(self, tenant: str, topic: str, user: UserId, since_order: int, cause: str) -> None:
        """From now on the user's connections here get nothing of the topic."""
        for name, socket in self.sockets.items():
            if (socket.session.tenant, socket.session.user) == (tenant, user):
                self._mark_session(name, topic, since_order, cause)

    def _mark_session(self, name: str, topic: str | None, since_order: int, cause: str) -> None:
        connection = self.runtime.connections.get(name)
        # Accepted a moment ago: nothing was sent on it yet.
        index = connection.messages_out if connection is not None else 0
        session: Session = self.sockets[name].session
        order = self._record.add(self.name, "marks", name, topic, index, cause)
        session.marks.append(Mark(order, index, topic, since_order, cause))

    # What the judge asks.

    def presence(self, keys: Iterable[Key]) -> dict[Key, dict[int | str, int]]:
        """Who is in each topic, with the number of connections, as this node knows it."""
        known: dict[Key, dict[int | str, int]] = {}
        for tenant, topic in keys:
            users = self.runtime.cluster.users((tenant, topic))
            if users:
                known[tenant, topic] = {user.id: user.connections for user in users}
        return known

    def unrest(self) -> list[str]:
        """Return the work that is half done although nothing is under way any more."""
        hub = self.runtime.hub
        half = [
            f"{name}: {topic} is {subscription.state.value}"
            for name, connection in self.runtime.connections.items()
            for topic, subscription in connection.subscriptions.items()
            if subscription.state is not SubscriptionState.LIVE
        ]
        half += [f"{local.key} is not open" for local in hub.topics() if not local.is_open]
        half += [f"{local.key} is under repair" for local in hub.topics() if local.repair is not None]
        half += [f"{local.key} waits for a gap" for local in hub.topics() if local.held is not None]
        half += [f"reads wait: {key}" for key in hub.reads._waiting | hub.reads._under_way]
        return [f"{self.name}: {each}" for each in half]

    def at_rest(self) -> Counter[str]:
        """The tasks that are under way, by what they do."""
        return Counter(getattr(task.get_coro(), "__qualname__", "") for task in self.open_tasks())

    def leftovers(self, at_rest: Counter[str]) -> list[str]:
        """What is left of clients that are all gone. `at_rest`: the tasks that were there before the first came."""
        runtime, hub = self.runtime, self.runtime.hub
        held = {
            "connections": runtime.connections,
            "sockets": self.sockets,
            "topics": hub._topics,
            "cached topics": hub._cached,
            "attached topics": self.engine._keys,
            "reads": hub.reads._waiting | hub.reads._under_way,
            "presence": _presence_left(runtime),
            "joined groups": self.bus.groups - self._groups_at_rest,
            "credentials": runtime.credentials._open | runtime.credentials._of_user,
            "calls with a deadline": self.endpoints.deadlines._until_s,
            "tasks": self.at_rest() - at_rest,
            "subscriptions counted": sum(each.subscriptions for each in runtime.metrics.routes()),
        }
        return [f"{self.name}: {what}: {_names(left)}" for what, left in held.items() if left]

    def failures(self) -> list[str]:
        """Return the errors of failed tasks of this node that no code has looked at."""
        return [f"{self.name}: a task failed: {error!r}" for error in self.unseen_failures()]


def _presence_left(runtime: RealNode) -> list[Any]:
    presence, cluster = runtime.presence, runtime.cluster
    kept = [*presence._users, *presence._topics, *presence._due]
    return kept if cluster.holds_nobody else [*kept, cluster._presence._totals, cluster._presence._lapses]


def _names(left: Any) -> str:
    return str(list(left)) if isinstance(left, dict | set) and not isinstance(left, Counter) else str(left)


def _settings(plan: Plan, may_follow: Callable[[str, UserId, str], bool]) -> RealtimeSettings:
    kept: dict[str, Any] = {"history_size": plan.history_size, "history_ttl_s": plan.history_ttl_s}

    def member(identity: Identity | None, topic: str) -> bool:
        return identity is not None and may_follow(identity.tenant, identity.user_id, topic)

    def scoped(identity: Identity | None, topic: str) -> bool:
        return identity is not None and "scoped" in identity.scopes

    return RealtimeSettings(
        TENANTS=f"{__name__}.Directory",
        IDENTITY=f"{__name__}.Authenticator",
        ROUTES=__name__,
        TOPIC_RULES={
            "": TopicRule(**kept),
            "room": TopicRule(subscribe_in_db=member, **kept),
            "scoped": TopicRule(subscribe=scoped, **kept),
            "typing": TopicRule(history_size=0, history_ttl_s=0.0),
        },
        # There is no database.
        TRANSACTIONAL_OUTBOX=False,
        SAMPLE_INTERVAL_S=0.0,
        OUTBOX_BYTES=plan.outbox_bytes,
        DRAIN_S=1.0,
    )
