"""A site in the process of the test: no server, no broker, the declarations and rules of the project."""

import uuid
from collections.abc import AsyncIterator, Coroutine, Iterable, Iterator, Sequence
from concurrent.futures import Future, wait
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from dataclasses import replace
from typing import Any, TypeVar

from realtime.conf import RealtimeSettings, load_settings
from realtime.core.hosts import Host
from realtime.core.identity import CredentialKind, Identity, Tenant, as_user_id
from realtime.core.position import Position
from realtime.endpoints.routing import Route
from realtime.endpoints.shared import Endpoints
from realtime.node.commits import replace_commits
from realtime.node.database import Database
from realtime.node.node import Node, install
from realtime.node.ports import LoadedSession, TenantDirectory, only_slug
from realtime.protocol.errors import Refusal
from realtime.testing.broker import Broker
from realtime.testing.clock import STEP_S, Clock, settle
from realtime.testing.database import SharedDatabase, connections_of_test, shared_with_async_orm
from realtime.testing.portal import Opening, Portal
from realtime.testing.sockets import QUIET_TURNS, TestSocket
from realtime.testing.transactions import CommitsOfTest
from realtime.topics.engine.ports import Bus, Engine, History

R = TypeVar("R")

# The host of Django's test client, which is allowed in every test.
HOST = "testserver"
PUBSUB = "/ws/pubsub/"
# Seconds that work in a database thread waits for what it has asked of the node.
WORK_S = 10.0
# Steps of the clock in which nodes learn of each other. They need one or two.
MEET_STEPS = 100
# The settings of a test by default. An outbox would send publications that the test has not committed.
OWN: dict[str, Any] = {
    "REDIS_URL": "",
    "TRANSACTIONAL_OUTBOX": False,
    "SAMPLE_INTERVAL_S": 0.0,
    "CHECK_CONTRACTS": True,
}


class DirectoryOfTest:
    """The project's directory of tenants, and the tenants that a test has named and the project does not have."""

    def __init__(self, own: TenantDirectory) -> None:
        self._own = own
        self._named: dict[str, Tenant] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._own, name)

    def lookup(self, host: str) -> Tenant | None:
        """As `TenantDirectory.lookup`."""
        return self._named.get(host) or self._own.lookup(host)

    def refresh(self) -> None:
        """As `TenantDirectory.refresh`."""
        self._own.refresh()

    def set_active(self, slug: str, *, is_active: bool) -> bool:
        """As `TenantDirectory.set_active`."""
        return self._own.set_active(slug, is_active=is_active)

    def serve(self, tenant: Tenant, host: str) -> Tenant:
        """Return the tenant as it is served: one that the project does not serve gets a host of its own."""
        found = map(self._own.lookup, tenant.hosts or {host})
        if any(each is not None and each.id == tenant.id for each in found):
            return tenant
        own_host = f"{tenant.slug}.{tenant.id}.{HOST}"
        self._named[own_host] = replace(tenant, hosts=tenant.hosts | {own_host})
        return self._named[own_host]


class NodeOfTest(Node):
    """A node whose database work takes part in the transaction of the test, on the broker of the test, if any."""

    directory: DirectoryOfTest

    def __init__(
        self, settings: RealtimeSettings, database: SharedDatabase, broker: Broker | None = None
    ) -> None:
        super().__init__(settings, tables=())
        self.own_database = database
        self._broker = broker

    def build_directory(self) -> DirectoryOfTest:
        """As `Node.build_directory`."""
        return DirectoryOfTest(super().build_directory())

    def build_databases(self) -> tuple[Database, Database, Database]:
        """As `Node.build_databases`: one for everything."""
        return self.own_database, self.own_database, self.own_database

    def build_engine(self) -> tuple[History, Bus, Engine]:
        """As `Node.build_engine`."""
        return super().build_engine() if self._broker is None else self._broker.engine()

    def submit(self, work: Coroutine[Any, Any, R]) -> "Future[R]":
        """As `Node.submit`; work in a database thread waits here for the result."""
        future = super().submit(work)
        with self.own_database.others_may_work() as is_database_thread:
            if is_database_thread:
                wait([future], WORK_S)
        return future


class TestSite:
    """A started node. `clock` is its time, which the other nodes of the test have too."""

    __test__ = False
    # Seconds that a message of its sockets may take; 0: the usual ones.
    wait_s = 0.0

    def __init__(self, node: NodeOfTest, clock: Clock, database: SharedDatabase) -> None:
        self.node = node
        self.clock = clock
        self._database = database
        self._endpoints = Endpoints(node)

    async def advance(self, seconds: float) -> None:
        """Let `seconds` pass at once."""
        await self.clock.advance(seconds)

    async def settle(self) -> None:
        """Let all work run that does not wait for time."""
        await settle(QUIET_TURNS)
        await self._database.settled()
        await settle(QUIET_TURNS)

    def new_id(self) -> str:
        """Return the id of a new connection."""
        return uuid.uuid4().hex

    async def publish(self, topic: str, data: Any, *, tenant: str = "") -> Position:
        """Publish from this node. `publish` and `apublish` do so from the first node of the test."""
        return await self.node.announce(topic, data, tenant=tenant or only_slug(self.node.directory))

    def connect(self, path: str = PUBSUB, **options: Any) -> Opening[TestSocket]:
        """Open a socket on this node, with the options of `connect`."""
        return Opening(lambda: self._connected(path, **options))

    @asynccontextmanager
    async def _connected(
        self,
        path: str = PUBSUB,
        *,
        user: Any = None,
        tenant: Tenant | str | None = None,
        host: str = HOST,
        scopes: Iterable[str] | None = None,
        session: Any = None,
        query: str = "",
    ) -> AsyncIterator[TestSocket]:
        path, _, own_query = f"/{path.removeprefix('/')}".partition("?")
        route = self._endpoints.router.find(host, path)
        if route is None:
            raise Refusal(404, "not_found", f"There is no route {path} on {host}.")
        found = self._tenant(tenant, host)
        loaded = await self._session(session, found, has_user=user is not None)
        identity = loaded.identity if loaded else await self._identity(user, found, scopes)
        route.require(identity)
        scope = self._scope(route, host, found, identity, query or own_query)
        if loaded is not None:
            scope["session"] = loaded
        scope |= {
            "path": path,
            "url_route": {"args": (), "kwargs": route.arguments(f"{path.rstrip('/')}/") or {}},
        }
        socket = TestSocket(route.app, scope, settled=self._database.settled, wait_s=self.wait_s)
        await socket.open()
        try:
            yield socket
        finally:
            await socket.close()

    def _tenant(self, given: Tenant | str | None, host: str) -> Tenant:
        found = given if isinstance(given, Tenant) else self.node.directory.lookup(host)
        if isinstance(given, str) and (found is None or found.slug != given):
            found = Tenant(id=0, slug=given)
        if found is None:
            raise Refusal(404, "unknown_host", f"No tenant has the host {host}; give `host` or `tenant`.")
        return self.node.directory.serve(found, host)

    async def _session(self, given: Any, tenant: Tenant, *, has_user: bool) -> LoadedSession | None:
        if given is None:
            return None
        if has_user:
            raise TypeError("Give either `user` or `session`: a session says whose it is.")
        key = str(getattr(given, "session_key", given))
        return await self._database.run(self.node.authenticator.load_session, key, tenant)

    async def _identity(self, user: Any, tenant: Tenant, scopes: Iterable[str] | None) -> Identity | None:
        if user is None or isinstance(user, Identity):
            return user
        if getattr(user, "is_anonymous", False) is True:
            return None
        _refuse_no_user(user)
        scopes_of = getattr(self.node.authenticator, "scopes_of", None)
        if scopes is None and scopes_of is not None:
            scopes = await self._database.run(scopes_of, user)
        return Identity(
            user_id=as_user_id(user.pk),
            username=str(user.get_username()),
            tenant=tenant.slug,
            scopes=frozenset(scopes or ()),
            kind=CredentialKind.SESSION,
            is_staff=getattr(user, "is_staff", False) is True,
            is_superuser=getattr(user, "is_superuser", False) is True,
        )

    def _scope(
        self, route: Route, host: str, tenant: Tenant, identity: Identity | None, query: str
    ) -> dict[str, Any]:
        return {
            "type": "websocket",
            "path": route.path,
            "headers": [(b"host", host.encode())],
            "client": ("127.0.0.1", 1),
            "server": (host, 80),
            "query_string": query.encode(),
            "subprotocols": [],
            "host": Host(host, None),
            "endpoints": self._endpoints,
            "connection_id": self.new_id(),
            "tenant": tenant,
            "identity": identity,
            "session": LoadedSession("testing", identity) if route.needs_session else None,
            "route": route,
            "subprotocol": None,
        }


def _refuse_no_user(user: Any) -> None:
    if not (hasattr(user, "pk") and hasattr(user, "get_username")):
        raise TypeError(f"Give `user` a user of the project or an Identity, received {user!r}.")
    if user.pk is None:
        raise TypeError(f"Save the user first: {user!r} has no primary key.")


class _Open:
    """The objects that the running test has opened."""

    site: TestSite | None = None
    broker: Broker | None = None


def site(**settings: Any) -> Opening[TestSite]:
    """Run a site with the project's settings; `settings` replace those of REALTIME.

    Topics are kept in memory and nothing leaves the process; `publish` and `apublish` reach its sockets. Work
    in the database takes part in the transaction of the test, and what waits for a commit there happens when the
    code under test commits.
    """
    return Opening(lambda: _one(settings))


def two_nodes(**settings: Any) -> Opening[tuple[TestSite, TestSite]]:
    """Run two nodes of the site, as `site` runs one, over a broker in memory. `lose_bus` makes it lose messages."""
    return Opening(lambda: _two(settings))


def connect(path: str = PUBSUB, **options: Any) -> Opening[TestSocket]:
    """Open a socket on the site of this test; without one, on a site that ends with the socket.

    `user` is a user of the project, or an Identity, with these `scopes`. `tenant` is a slug or a Tenant; by
    default it is that of `host`. `query` is a query string. Raises Refusal if the route refuses.
    `session` is a Django session or its key, in place of `user`: `client.session` of a test client that has signed in.
    """
    return Opening(lambda: _socket(path, options))


def lose_bus() -> AbstractContextManager[None]:
    """Lose all messages between the nodes of `two_nodes` inside the block: publications, presence, lost rights.

    At its end the nodes notice that they may have missed some. Raises RuntimeError outside of `two_nodes`.
    """
    broker, site_of_test = _Open.broker, _Open.site
    if broker is None or site_of_test is None or site_of_test.node.loop is None:
        raise RuntimeError(
            "There is no bus that could lose messages: lose_bus() works inside of two_nodes()."
        )
    return broker.losing(site_of_test.node.loop.call_soon_threadsafe)


@asynccontextmanager
async def _one(settings: dict[str, Any]) -> AsyncIterator[TestSite]:
    async with _sites(1, None, settings) as [only]:
        yield only


@asynccontextmanager
async def _two(settings: dict[str, Any]) -> AsyncIterator[tuple[TestSite, TestSite]]:
    async with _sites(2, Broker(), settings) as [one, two]:
        await meet([one, two])
        yield one, two


async def meet(opened: Sequence[TestSite]) -> None:
    """Let every node learn of the others before the test begins."""
    for _ in range(MEET_STEPS):
        if all(len(each.node.nodes()) == len(opened) for each in opened):
            return
        await opened[0].advance(STEP_S)
    raise RuntimeError("The nodes of the test did not learn of each other.")


@asynccontextmanager
async def _sites(
    count: int, broker: Broker | None, settings: dict[str, Any]
) -> AsyncIterator[list[TestSite]]:
    shared = Portal.current.connections if Portal.current else await connections_of_test()
    database = SharedDatabase(shared)
    clock = Clock(database.settled)
    with clock.ruling():
        async with shared_with_async_orm(shared):
            nodes = [NodeOfTest(load_settings(**(OWN | settings)), database, broker) for _ in range(count)]
            opened = [TestSite(node, clock, database) for node in nodes]
            with installed(opened[0], broker):
                try:
                    for node in nodes:
                        await node.ensure_started()
                    yield opened
                finally:
                    for node in nodes:
                        await node.stop()
                    await database.end()


@contextmanager
def installed(first: TestSite, broker: Broker | None) -> Iterator[None]:
    """Let `publish`, `connect` and `lose_bus` find what is open, until the end of the block."""
    before = _Open.site, _Open.broker
    commits = replace_commits(CommitsOfTest())
    _Open.site, _Open.broker = first, broker
    install(first.node)
    try:
        yield
    finally:
        _Open.site, _Open.broker = before
        install(before[0].node if before[0] else None)
        replace_commits(commits)


@asynccontextmanager
async def _socket(path: str, options: dict[str, Any]) -> AsyncIterator[TestSocket]:
    if _Open.site is not None:
        async with _Open.site.connect(path, **options) as socket:
            yield socket
        return
    async with _one({}) as own, own.connect(path, **options) as socket:
        yield socket
