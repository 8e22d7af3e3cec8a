"""The usual Channels site: the chat consumer of its tutorial, part 3, an echo, and a chat that stores each message.

Run by uvicorn as `bench.peers.channels_site:application`. Environment: DATABASE (a settings dict as JSON),
REDIS_URL ("" for the in-memory layer).
"""

import json
import os
from typing import Any

import django
from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncWebsocketConsumer
from channels.routing import ProtocolTypeRouter, URLRouter
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.db import models
from django.urls import path

REDIS_URL = os.environ.get("REDIS_URL", "")
REDIS_LAYER = {
    "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
    "CONFIG": {"hosts": [{"address": REDIS_URL, "socket_timeout": 30}]},
}
MEMORY_LAYER = {"BACKEND": "channels.layers.InMemoryChannelLayer"}

settings.configure(
    DEBUG=False,
    ALLOWED_HOSTS=["*"],
    SECRET_KEY="for the benchmark only",
    INSTALLED_APPS=["channels"],
    ROOT_URLCONF=[],
    DATABASES={"default": json.loads(os.environ["DATABASE"])},
    CHANNEL_LAYERS={"default": REDIS_LAYER if REDIS_URL else MEMORY_LAYER},
)
django.setup()


class StoredMessage(models.Model):
    """A message of the chat that stores; `bench.peers.channels_table` makes its table."""

    objects: "models.Manager[StoredMessage]" = models.Manager()

    room = models.CharField(max_length=100)
    text = models.TextField()
    sent_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        app_label = "bench"

    def __str__(self) -> str:
        return self.text


class ChatConsumer(AsyncWebsocketConsumer):  # type: ignore[misc]  # channels has no types
    """Channels' tutorial, word for word."""

    async def connect(self) -> None:
        """Join the room's group."""
        self.room_name = self.scope["url_route"]["kwargs"]["room_name"]
        self.room_group_name = f"chat_{self.room_name}"
        await self.channel_layer.group_add(self.room_group_name, self.channel_name)
        await self.accept()

    async def disconnect(self, code: int) -> None:
        """Leave it."""
        await self.channel_layer.group_discard(self.room_group_name, self.channel_name)

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """A message to the group."""
        message = json.loads(text_data or "")["message"]
        await self.channel_layer.group_send(
            self.room_group_name, {"type": "chat.message", "message": message}
        )

    async def chat_message(self, event: dict[str, Any]) -> None:
        """A message from the group."""
        await self.send(text_data=json.dumps({"message": event["message"]}))


class StoringConsumer(AsyncWebsocketConsumer):  # type: ignore[misc]  # channels has no types
    """Stores each message in a transaction of its own, sends it to the room's group and acknowledges it."""

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """A message to store."""
        room = self.scope["url_route"]["kwargs"]["room_name"]
        message = json.loads(text_data or "")["message"]
        stored = await database_sync_to_async(StoredMessage.objects.create)(room=room, text=message)
        await self.channel_layer.group_send(f"chat_{room}", {"type": "chat.message", "message": message})
        await self.send(text_data=json.dumps({"type": "message.sent", "id": stored.pk, "text": message}))


class EchoConsumer(AsyncWebsocketConsumer):  # type: ignore[misc]  # channels has no types
    """Sends text back."""

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """Some text."""
        await self.send(text_data=text_data)


application = ProtocolTypeRouter(
    {
        "http": get_asgi_application(),
        "websocket": URLRouter(
            [
                path("ws/chat/<room_name>/", ChatConsumer.as_asgi()),
                path("ws/stored/<room_name>/", ChatConsumer.as_asgi()),
                path("ws/store/<room_name>/", StoringConsumer.as_asgi()),
                path("ws/echo/", EchoConsumer.as_asgi()),
            ]
        ),
    }
)
