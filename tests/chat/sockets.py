"""People on sockets of the chat: the consumer, the hub and the database, without a server in front."""

import itertools
import json
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from asgiref.testing import ApplicationCommunicator
from django.db import connection

from accounts.models import Domain, Membership, User
from accounts.models import Tenant as TenantRow
from chat.consumers import ChatConsumer
from realtime.core.identity import CredentialKind, Identity, Tenant
from realtime.endpoints.routing import websocket
from realtime.endpoints.shared import Endpoints
from realtime.node.node import Node

MISSING_ROOM = 2**63 - 1
SCOPES = frozenset({"chat:read", "chat:write"})
ROUTE = websocket("ws/chat/", ChatConsumer, signed_in=True)


class Client:
    """Somebody on a socket of the chat."""

    def __init__(self, runtime: Node, tenant: Tenant, user: User, scopes: frozenset[str]) -> None:
        self.user = user
        self._numbers = itertools.count(1)
        scope = {
            "type": "websocket",
            "path": "/ws/chat/",
            "endpoints": Endpoints(runtime),
            "connection_id": uuid.uuid4().hex,
            "tenant": tenant,
            "identity": Identity(user.pk, user.username, tenant.slug, scopes, CredentialKind.TOKEN),
            "route": ROUTE,
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 2),
            "subprotocol": None,
        }
        # Channels' own communicator keeps database connections from being given back.
        self._socket = ApplicationCommunicator(ROUTE.app, scope)
        self.pushes: list[dict[str, Any]] = []

    async def connect(self) -> "Client":
        await self._socket.send_input({"type": "websocket.connect"})
        assert (await self._socket.receive_output(10))["type"] == "websocket.accept"
        assert (await self.receive())["type"] == "welcome"
        return self

    async def close(self) -> None:
        await self._socket.send_input({"type": "websocket.disconnect", "code": 1000})
        await self._socket.wait(10)

    async def send(self, verb: str, **payload: Any) -> str:
        """Send a request; its id."""
        request_id = f"r{next(self._numbers)}"
        text = json.dumps({"id": request_id, "type": verb, "payload": payload})
        await self._socket.send_input({"type": "websocket.receive", "text": text})
        return request_id

    async def receive(self) -> dict[str, Any]:
        sent = await self._socket.receive_output(10)
        assert "text" in sent, sent
        message: dict[str, Any] = json.loads(sent["text"])
        return message

    async def ask(self, verb: str, **payload: Any) -> dict[str, Any]:
        """The reply to a request; what is pushed meanwhile is kept."""
        request_id = await self.send(verb, **payload)
        while True:
            message = await self.receive()
            if message.get("id") == request_id:
                return message
            self.pushes.append(message)

    async def get(self, verb: str, reply: str, **payload: Any) -> dict[str, Any]:
        """The payload of a reply of the type `reply`."""
        message = await self.ask(verb, **payload)
        assert message["type"] == reply, message
        answer: dict[str, Any] = message["payload"]
        return answer

    async def refused(self, verb: str, **payload: Any) -> dict[str, Any]:
        """The payload of an error reply."""
        return await self.get(verb, "error", **payload)

    async def event(self, topic: str) -> dict[str, Any]:
        """The data of the next publication of a topic."""
        while True:
            for index, push in enumerate(self.pushes):
                if push["type"] == "publication" and push["payload"]["topic"] == topic:
                    data: dict[str, Any] = self.pushes.pop(index)["payload"]["data"]
                    return data
            self.pushes.append(await self.receive())


class Chat:
    """Two tenants: acme with alice and bob, globex with carol, admin in both."""

    def __init__(self, runtime: Node, tenants: dict[str, Tenant], users: dict[str, User]) -> None:
        self.node = runtime
        self.tenants = tenants
        self._users = users
        self._clients: list[Client] = []

    async def client(self, name: str, tenant: str = "acme", scopes: frozenset[str] = SCOPES) -> Client:
        client = Client(self.node, self.tenants[tenant], self._users[name], scopes)
        self._clients.append(client)
        return await client.connect()

    async def in_db(self, work: Callable[..., Any], **arguments: Any) -> Any:
        """Look at the database, or change it, past the chat."""
        return await self.node.database.run(work, **arguments)

    def count_queries(self, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        """The queries from now on, in any thread of the database."""
        asked: list[str] = []

        def record(execute: Callable[..., Any], sql: str, *args: Any) -> Any:
            asked.append(sql)
            return execute(sql, *args)

        run = self.node.database.run

        async def recorded(work: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
            def in_thread() -> Any:
                with connection.execute_wrapper(record):
                    return work(*args, **kwargs)

            return await run(in_thread)

        monkeypatch.setattr(self.node.database, "run", recorded)
        return asked

    async def close(self) -> None:
        for client in self._clients:
            await client.close()


def populate() -> tuple[dict[str, Tenant], dict[str, User]]:
    rows = {slug: TenantRow.objects.create(slug=slug, name=slug.title()) for slug in ("acme", "globex")}
    for slug, row in rows.items():
        Domain.objects.create(tenant=row, host=f"{slug}.localhost")
    users = {name: User.objects.create(username=name) for name in ("alice", "bob", "carol", "admin")}
    for name, slug in (
        ("alice", "acme"),
        ("bob", "acme"),
        ("carol", "globex"),
        ("admin", "acme"),
        ("admin", "globex"),
    ):
        Membership.objects.create(user=users[name], tenant=rows[slug])
    tenants = {
        slug: Tenant(row.pk, slug, row.name, frozenset({f"{slug}.localhost"})) for slug, row in rows.items()
    }
    return tenants, users


async def make_room(client: Client, *, is_public: bool = True, name: str = "lounge") -> int:
    room_id: int = (await client.get("room.create", "room", name=name, is_public=is_public))["room"]["id"]
    return room_id


async def say(client: Client, room_id: int, text: str = "hello") -> dict[str, Any]:
    sent = await client.get(
        "message.send", "message.sent", room_id=room_id, text=text, client_msg_id=str(uuid.uuid4())
    )
    message: dict[str, Any] = sent["message"]
    return message
