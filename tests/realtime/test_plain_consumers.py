"""Consumers of Channels itself beside ours: what they get, and what acts on them."""

import asyncio
import json
from collections.abc import AsyncIterator
from types import ModuleType
from typing import Any

import pytest
from channels.generic.websocket import AsyncJsonWebsocketConsumer, AsyncWebsocketConsumer, WebsocketConsumer
from channels.layers import get_channel_layer
from channels.testing import WebsocketCommunicator
from django.core.exceptions import ImproperlyConfigured
from pytest_django import Settings

from accounts.models import User
from realtime import (
    JsonConsumer,
    RealtimeSettings,
    Refusal,
    aconnections,
    adisconnect,
    build_application,
    current_node,
    websocket,
)
from realtime.endpoints import registry, sources
from realtime.endpoints.asyncapi import SiteDocument
from realtime.endpoints.routing import Router, host
from realtime.node.node import install
from realtime.testing import TestSite, TestSocket, site

IN_MEMORY = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}


class Room(AsyncJsonWebsocketConsumer):  # type: ignore[misc] # Channels has no types
    """As in Channels' tutorial, with JSON and groups."""

    async def connect(self) -> None:
        self.room = self.scope["url_route"]["kwargs"]["room"]
        await self.channel_layer.group_add(self.room, self.channel_name)
        await self.accept()

    async def disconnect(self, code: int) -> None:
        await self.channel_layer.group_discard(self.room, self.channel_name)

    async def receive_json(self, content: Any, **kwargs: Any) -> None:
        await self.channel_layer.group_send(self.room, {"type": "room.said", "text": content["text"]})

    async def room_said(self, event: dict[str, Any]) -> None:
        user = self.scope["user"]
        name = user.username if user.is_authenticated else "nobody"
        await self.send_json({"text": event["text"], "to": name, "tenant": self.scope["tenant"].slug})


class Sync(WebsocketConsumer):  # type: ignore[misc] # Channels has no types
    """A synchronous one, which uses the ORM as it likes."""

    def receive(self, text_data: Any = None, bytes_data: Any = None) -> None:
        self.send(text_data=f"{text_data} {User.objects.count()} {self.scope['session'].get('colour', '-')}")
        if text_data == "bye":
            self.close(4001)


class Refusing(AsyncWebsocketConsumer):  # type: ignore[misc] # Channels has no types
    """Accepts nobody."""

    async def connect(self) -> None:
        await self.close()


class Failing(AsyncWebsocketConsumer):  # type: ignore[misc] # Channels has no types
    """Fails as it is asked."""

    def __init__(self, where: str = "") -> None:
        super().__init__()
        self.where = where

    async def connect(self) -> None:
        if self.where == "connect":
            raise ZeroDivisionError
        await self.accept(subprotocol="mine")

    async def receive(self, text_data: Any = None, bytes_data: Any = None) -> None:
        raise ZeroDivisionError


routes = ModuleType("somebodys_plain_routes")
routes.routes = [  # type: ignore[attr-defined]
    websocket("ws/room/<slug:room>/", Room),
    websocket("ws/sync/", Sync.as_asgi()),
    websocket("ws/refusing/", Refusing),
    websocket("ws/failing/", Failing, where="receive"),
    websocket("ws/broken/", Failing.as_asgi(where="connect")),
    websocket("ws/members/", Sync, signed_in=True, pool_size=1),
]


@pytest.fixture(autouse=True)
def _project(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, routes.__name__, routes)
    # The apps of this site declare tasks that read the database all the time.
    monkeypatch.setattr(registry, "_modules", lambda: iter([sources]))
    settings.REALTIME = {"ROUTES": routes.__name__}
    settings.CHANNEL_LAYERS = IN_MEMORY
    settings.ALLOWED_HOSTS = ["testserver"]


@pytest.fixture
async def own() -> AsyncIterator[TestSite]:
    async with site() as opened:
        yield opened


@pytest.fixture
def ann(db: None) -> User:
    return User.objects.create(username="ann")


async def said(socket: TestSocket) -> Any:
    return json.loads(await socket.receive_text())


async def test_groups_user_parameters_and_tenant(ann: User, own: TestSite) -> None:
    async with (
        own.connect("/ws/room/red/", user=ann) as one,
        own.connect("/ws/room/red/") as other,
        own.connect("/ws/room/blue/") as elsewhere,
    ):
        await one.send_text('{"text": "hello"}')
        assert await said(one) == {"text": "hello", "to": "ann", "tenant": "main"}
        assert await said(other) == {"text": "hello", "to": "nobody", "tenant": "main"}
        await get_channel_layer().group_send("blue", {"type": "room.said", "text": "from a view"})
        assert (await said(elsewhere))["text"] == "from a view"


async def test_a_synchronous_one(ann: User, own: TestSite) -> None:
    async with own.connect("/ws/sync/", user=ann) as socket:
        await socket.send_text("bye")
        assert await socket.receive_text() == "bye 1 -"
        await socket.assert_closed(4001)


async def test_operators_see_and_close_it(ann: User, own: TestSite) -> None:
    async with own.connect("/ws/room/red/", user=ann) as socket:
        [found] = (await aconnections(tenant="main", user=str(ann.pk))).results
        assert found["route"] == "/ws/room/<slug:room>/"
        assert await adisconnect(tenant="main", user_id=ann.pk, reason="enough") == 1
        assert await socket.assert_closed(4409) == (4409, "reconnect: enough")


async def test_its_messages_are_counted_and_bounded(ann: User) -> None:
    async with site(MESSAGES_PER_S=1.0, MESSAGES_BURST=1) as own, own.connect("/ws/room/red/") as socket:
        await socket.send_text('{"text": "1"}')
        await said(socket)
        await socket.send_text('{"text": "2"}')
        await own.settle()
        [route] = own.node.metrics.routes()
        assert (route.active, route.messages_in, route.messages_out) == (1, 2, 1)
        await own.advance(1.1)
        assert (await said(socket))["text"] == "2"
        for _ in range(20):
            await socket.send_text('{"text": "too fast"}')
        await own.advance(10)
        await socket.assert_closed(4429)


async def test_a_message_that_is_too_large_closes_it(own: TestSite, ann: User) -> None:
    async with own.connect("/ws/sync/") as socket:
        await socket.send_text("x" * (1024 * 1024 + 1))
        await socket.assert_closed(1009)


async def test_who_may_connect_is_said_by_the_route_and_by_the_consumer(ann: User, own: TestSite) -> None:
    for path, status in (("/ws/members/", 401), ("/ws/refusing/", 403), ("/ws/room/a b/", 404)):
        with pytest.raises(Refusal) as refused:
            async with own.connect(path):
                pass
        assert refused.value.status == status


async def test_a_failure_is_logged_once_and_closes_it(
    own: TestSite, caplog: pytest.LogCaptureFixture
) -> None:
    async with own.connect("/ws/failing/") as socket:
        await socket.send_text("x")
        await socket.assert_closed(1011)
    assert [each.name for each in caplog.records if each.exc_info] == ["realtime.node.failures"]
    with pytest.raises(ZeroDivisionError):
        async with own.connect("/ws/broken/"):
            pass


async def test_it_is_left_alone_after_the_end(own: TestSite, ann: User) -> None:
    async with own.connect("/ws/room/red/"):
        assert len(own.node.connections) == 1
    await asyncio.sleep(0)
    assert not own.node.connections


@pytest.mark.django_db(transaction=True)
async def test_through_the_whole_application(settings: Settings) -> None:
    install(None)
    application = build_application(current_node(), _nothing)
    headers = [(b"host", b"testserver"), (b"origin", b"https://evil.example")]
    refused = WebsocketCommunicator(application, "/ws/failing/", headers=headers)
    refused.scope["extensions"] = {"websocket.http.response": {}}
    await refused.send_input({"type": "websocket.connect"})
    assert (await refused.receive_output())["status"] == 403
    good = WebsocketCommunicator(
        application, "/ws/room/red/?x=1", headers=[(b"host", b"testserver")], subprotocols=["rockstar.v1"]
    )
    assert await good.connect() == (True, "rockstar.v1")
    await good.send_json_to({"text": "hello"})
    assert (await good.receive_json_from())["to"] == "nobody"
    await good.disconnect()
    await current_node().stop()
    install(None)


async def _nothing(scope: Any, receive: Any, send: Any) -> None:
    """Django, which nobody asks here."""


@pytest.mark.parametrize(
    ("consumer", "options", "said"),
    [
        (Failing, {"colour": "red"}, "constructor does not take"),
        (object, {}, "consumer of Channels"),
        (lambda scope: None, {}, "consumer of Channels"),
        (JsonConsumer, {"colour": "red"}, "constructor does not take"),
    ],
)
def test_a_wrong_consumer_is_named(consumer: Any, options: dict[str, Any], said: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=said):
        websocket("ws/x/", consumer, **options)


def test_a_path_with_parameters_is_no_text() -> None:
    everywhere = websocket("ws/room/<int:room>/", Room)
    [here] = host("a.example", websocket("ws/room/<slug:room>/", Room))
    router = Router([everywhere, here])
    assert router.find("b.example", "/ws/room/7") is everywhere
    assert router.find("a.example", "/ws/room/7/") is here
    assert router.find("b.example", "/ws/room/<int:room>/") is None
    assert here.arguments("/ws/room/red/") == {"room": "red"}


def test_it_is_described_with_its_parameters() -> None:
    document = SiteDocument(RealtimeSettings(ROUTES=routes.__name__)).of("testserver", is_secure=False)
    [room] = [each for each in document["channels"].values() if "room" in each["address"]]
    assert room["address"] == "/ws/room/{room}/"
    assert room["summary"] == "As in Channels' tutorial, with JSON and groups."
    assert list(room["parameters"]) == ["room"]
