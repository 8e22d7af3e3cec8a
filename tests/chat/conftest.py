"""Two tenants with people in them, and what the chat announced."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.conf import settings
from django.db import transaction
from pytest_django import Settings

from accounts.models import Membership, User
from accounts.models import Tenant as TenantRow
from chat import announcements, services, wire
from chat.messages import changing
from chat.messages.sending import message_post
from chat.models import RoomMembership
from chat.payloads import MessageEdit, MessageSend, RoomCreate
from realtime.conf import load_settings
from realtime.core.history import Publisher
from realtime.core.identity import Tenant
from realtime.core.topics import TopicRules
from realtime.node import node as runtimes
from realtime.node.node import Node
from tests.chat.sockets import Chat, populate


@dataclass(frozen=True)
class World:
    """acme has alice and bob, globex has carol; admin is in both."""

    acme: Tenant
    globex: Tenant
    alice: Publisher
    bob: Publisher
    carol: Publisher
    admin: Publisher

    def room(self, *, is_public: bool = True, name: str = "lounge", with_bob: bool = False) -> int:
        """A room of acme's that alice made; its id."""
        made = services.room_create(self.acme, self.alice, RoomCreate(name=name, is_public=is_public))[0]
        if with_bob:
            RoomMembership.objects.create(room_id=made.id, user_id=self.bob.id)
        return made.id


def message_send(
    tenant: Tenant,
    author: Publisher,
    *,
    room_id: int,
    text: str,
    client_msg_id: UUID,
    reply_to_seq: int | None = None,
    file_ids: tuple[int, ...] = (),
) -> wire.Message:
    """Store and announce the next message of a room."""
    message, _ = message_post(
        tenant, author, MessageSend(room_id, client_msg_id, text, reply_to_seq, file_ids)
    )
    return message


def send(
    world: World, room_id: int, text: str = "hello", *, by: Publisher | None = None, **more: Any
) -> wire.Message:
    """Send a message with a new client_msg_id, by alice if nobody else is named."""
    author = by or world.alice
    return message_send(world.acme, author, room_id=room_id, text=text, client_msg_id=uuid4(), **more)


def edit(world: World, user: Publisher, room_id: int, seq: int, text: str = "changed") -> wire.Message:
    """Edit a message."""
    return changing.message_edit(world.acme, user, MessageEdit(room_id, seq=seq, text=text))


@dataclass(frozen=True)
class Announced:
    """One publication that went out."""

    topic: str
    data: dict[str, Any]
    tenant: str
    publisher: Publisher | None


@pytest.fixture
def announced(monkeypatch: pytest.MonkeyPatch) -> list[Announced]:
    """What went out, in order. Each fits the type of its topic."""
    gone_out: list[Announced] = []
    rules = TopicRules(settings.TOPIC_RULES)

    def publish_soon(
        topic: str,
        data: Any,
        *,
        tenant: str,
        publisher: Publisher | None = None,
        idempotency_key: str | None = None,
    ) -> None:
        if contract := rules.contract_of(topic):
            contract.check(data)
        transaction.on_commit(lambda: gone_out.append(Announced(topic, data, tenant, publisher)))

    monkeypatch.setattr(announcements, "publish_soon", publish_soon)
    monkeypatch.setattr(announcements, "end_subscriptions", lambda *_, **__: None)
    return gone_out


@pytest.fixture
def world(db: None, announced: list[Announced]) -> World:
    """Everybody, in their tenants."""
    acme, globex = (TenantRow.objects.create(slug=slug, name=slug.title()) for slug in ("acme", "globex"))
    return World(
        acme=Tenant(acme.pk, acme.slug, acme.name),
        globex=Tenant(globex.pk, globex.slug, globex.name),
        alice=_person("alice", acme),
        bob=_person("bob", acme),
        carol=_person("carol", globex),
        admin=_person("admin", acme, globex),
    )


@pytest.fixture
async def chat(db: None) -> AsyncIterator[Chat]:
    """Everybody, on a node of this process."""
    runtime = Node(load_settings())
    runtimes.install(runtime)
    await runtime.ensure_started()
    opened = Chat(runtime, *await runtime.database.run(populate))
    try:
        yield opened
        await opened.close()
    finally:
        # Whatever became of the sockets: a node that goes on would write beside the tests that follow.
        await runtime.stop()
        runtimes.install(None)


def _person(username: str, *tenants: TenantRow) -> Publisher:
    user = User.objects.create(username=username)
    for tenant in tenants:
        Membership.objects.create(user=user, tenant=tenant, status=f"{username} here")
    return Publisher(user.pk, username)


@pytest.fixture
def folder(settings: Settings, tmp_path: Path) -> Iterator[Path]:
    """A folder of its own for the files of the chat."""
    storage = {"BACKEND": "django.core.files.storage.FileSystemStorage", "OPTIONS": {"location": tmp_path}}
    settings.STORAGES = settings.STORAGES | {"chat": storage}
    runtimes.install(None)
    yield tmp_path
    runtimes.install(None)
