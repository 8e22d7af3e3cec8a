"""A site in the process of the test: no server, no broker, the declarations and rules of the project."""

import uuid
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from realtime.conf import load_settings
from realtime.core.hosts import Host
from realtime.core.identity import CredentialKind, Identity, Tenant
from realtime.endpoints.routing import Route
from realtime.endpoints.shared import Endpoints
from realtime.node.database import Database
from realtime.node.node import Node, install
from realtime.node.ports import LoadedSession
from realtime.protocol.errors import Refusal
from realtime.testing.clock import Clock, settle
from realtime.testing.database import SharedDatabase, connections_of_test
from realtime.testing.sockets import QUIET_TURNS, TestSocket

# The host of Django's test client, which is allowed in every test.
HOST = "testserver"
PUBSUB = "/ws/pubsub/"
# The settings of a test by default. An outbox would send publications that the test has not committed.
OWN: dict[str, Any] = {"REDIS_URL": "", "TRANSACTIONAL_OUTBOX": False}


class _Node(Node):
    """A node whose database work takes part in the transaction of the test."""

    own_database: SharedDatabase

    def build_databases(self) -> tuple[Database, Database, Database]:
        return self.own_database, self.own_database, self.own_database


class TestSite:
    """A started node. `clock` is its time."""

    __test__ = False

    def __init__(self, node: _Node, clock: Clock) -> None:
        self.node = node
        self.clock = clock
        self._endpoints = Endpoints(node)

    async def advance(self, seconds: float) -> None:
        """Let `seconds` pass at once."""
        await self.clock.advance(seconds)

    async def settle(self) -> None:
        """Let all work run that does not wait for time."""
        await settle(QUIET_TURNS)
        await self.node.own_database.settled()
        await settle(QUIET_TURNS)

    @asynccontextmanager
    async def connect(
        self,
        path: str = PUBSUB,
        *,
        user: Any = None,
        tenant: Tenant | str | None = None,
        host: str = HOST,
        scopes: Iterable[str] | None = None,
        query: str = "",
    ) -> AsyncIterator[TestSocket]:
        """Open a socket, signed in as `user` (a user of the project, or an Identity), with these `scopes`.

        `tenant` is a slug or a Tenant; by default it is that of `host`. Raises Refusal if the route refuses.
        """
        route = self._endpoints.router.find(host, path.partition("?")[0])
        if route is None:
            raise Refusal(404, "not_found", f"There is no route {path} on {host}.")
        found = self._tenant(tenant, host)
        identity = self._identity(user, found, scopes)
        route.require(identity)
        socket = TestSocket(
            route.app, self._scope(route, host, found, identity, query or path.partition("?")[2])
        )
        await socket.open()
        try:
            yield socket
        finally:
            await socket.close()

    def _tenant(self, given: Tenant | str | None, host: str) -> Tenant:
        if isinstance(given, Tenant):
            return given
        found = self.node.directory.lookup(host)
        if isinstance(given, str) and (found is None or found.slug != given):
            return Tenant(id=0, slug=given, hosts=frozenset({host}))
        if found is None:
            raise Refusal(404, "unknown_host", f"No tenant has the host {host}; give `host` or `tenant`.")
        return found

    def _identity(self, user: Any, tenant: Tenant, scopes: Iterable[str] | None) -> Identity | None:
        if user is None or isinstance(user, Identity):
            return user
        scopes_of = getattr(self.node.authenticator, "scopes_of", None)
        held = frozenset(scopes) if scopes is not None else scopes_of(user) if scopes_of else frozenset()
        return Identity(
            user_id=user.pk,
            username=str(user.get_username()),
            tenant=tenant.slug,
            scopes=held,
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
            "connection_id": uuid.uuid4().hex,
            "tenant": tenant,
            "identity": identity,
            "session": LoadedSession("testing", identity) if route.needs_session else None,
            "route": route,
            "subprotocol": None,
        }


class _Open:
    """The site of the test that runs."""

    site: TestSite | None = None


@asynccontextmanager
async def site(**settings: Any) -> AsyncIterator[TestSite]:
    """Run a site with the project's settings; `settings` replace those of REALTIME.

    Topics are kept in memory and nothing leaves the process; `publish` and `apublish` reach its sockets. Work
    in the database takes part in the transaction of the test.
    """
    node = _Node(replace(load_settings(), **(OWN | settings)), tables=())
    node.own_database = SharedDatabase(await connections_of_test())
    clock = Clock(node.own_database.settled)
    with clock.ruling():
        await node.ensure_started()
        install(node)
        before, _Open.site = _Open.site, TestSite(node, clock)
        try:
            yield _Open.site
        finally:
            _Open.site = before
            install(before.node if before else None)
            await node.stop()


@asynccontextmanager
async def connect(path: str = PUBSUB, **options: Any) -> AsyncIterator[TestSocket]:
    """As `TestSite.connect`, on the site of this test; without one, on a site that ends with the socket."""
    if _Open.site is not None:
        async with _Open.site.connect(path, **options) as socket:
            yield socket
        return
    async with site() as own, own.connect(path, **options) as socket:
        yield socket
