"""A site of nothing but declarations: a node, its endpoints and their clients, without a server or a database."""

import asyncio
import itertools
import json
import uuid
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from realtime.conf import RealtimeSettings
from realtime.core.hosts import Host
from realtime.core.identity import Identity, Tenant
from realtime.endpoints.consumers.base import RealtimeConsumer
from realtime.endpoints.registry import Registry
from realtime.endpoints.routing import Route, websocket
from realtime.endpoints.shared import Endpoints
from realtime.node.node import Node
from realtime.protocol.close_codes import CloseCode
from realtime.testing import TestSocket
from tests.realtime.followers import ACME

WAIT_S = 10.0
# The module of the routes: there are none, because a client is given its route.
routes: list[Route] = []
SETTINGS: dict[str, Any] = {
    "TENANTS": f"{__name__}.Directory",
    "IDENTITY": f"{__name__}.Authenticator",
    "ROUTES": __name__,
    # There is no database.
    "SAMPLE_INTERVAL_S": 0.0,
}


class Directory:
    """One tenant on every host."""

    def lookup(self, host: str) -> Tenant | None:
        return ACME

    def refresh(self) -> None:
        pass


class Authenticator:
    """Nothing is ever revoked."""

    def revocations(self) -> Sequence[Any]:
        return []

    def recheck(self, identities: Iterable[Identity]) -> Mapping[Identity, CloseCode]:
        return {}

    def sweep(self) -> bool:
        return False


class Client(TestSocket):
    """A socket on one consumer. It asks with an id or without, and passes over what is not asked for."""

    def __init__(
        self, endpoints: Endpoints, route: Route, identity: Identity | None, query_string: str
    ) -> None:
        self._numbers = itertools.count(1)
        scope = {
            "type": "websocket",
            "path": route.path,
            "host": Host("anything.example", None),
            "query_string": query_string.encode(),
            "endpoints": endpoints,
            "connection_id": uuid.uuid4().hex,
            "tenant": ACME,
            "identity": identity,
            "session": None,
            "route": route,
            "subprotocol": None,
        }
        super().__init__(route.app, scope, wait_s=WAIT_S)

    async def send(self, verb: str, payload: Any = None, request_id: str | int | None = None) -> str:
        message = {"id": request_id, "type": verb, "payload": payload or {}}
        await self.send_text(json.dumps({key: value for key, value in message.items() if value is not None}))
        return str(request_id)

    async def receive(self) -> dict[str, Any]:
        """The next message."""
        async with asyncio.timeout(WAIT_S):
            return await anext(self.messages())

    async def ask(self, verb: str, payload: Any = None) -> dict[str, Any]:
        """The reply to a request."""
        return await self._reply(await self.send(verb, payload, f"r{next(self._numbers)}"))

    async def error(self, verb: str, payload: Any = None) -> dict[str, Any]:
        """The payload of an error reply."""
        message = await self.ask(verb, payload)
        assert message["type"] == "error", message
        error: dict[str, Any] = message["payload"]
        return error


class Site:
    """A started node with the given declarations."""

    def __init__(self, node: Node, endpoints: Endpoints) -> None:
        self.node = node
        self.endpoints = endpoints
        self.clients: list[Client] = []

    async def connect(
        self,
        consumer: type[RealtimeConsumer],
        identity: Identity | None = None,
        query_string: str = "",
    ) -> Client:
        client = Client(self.endpoints, websocket("ws/site/", consumer), identity, query_string)
        await client.open()
        self.clients.append(client)
        return client


@asynccontextmanager
async def site_of(
    *, methods: Any = (), sources: Any = (), queries: Any = (), **settings: Any
) -> AsyncIterator[Site]:
    """Run a node with these declarations and settings."""
    node = Node(RealtimeSettings(**(SETTINGS | settings)), tables=())
    await node.ensure_started()
    endpoints = Endpoints(node)
    registry = Registry(list(methods), list(sources), list(queries))
    endpoints.registry = registry.checked() if node.checks_contracts else registry
    site = Site(node, endpoints)
    yield site
    for client in site.clients:
        await client.close()
    await node.stop()
