"""Every WebSocket route of the site."""

from django.conf import settings

from chat.consumers import ChatConsumer
from realtime import (
    DataConsumer,
    EchoConsumer,
    LiveConsumer,
    ManagedConsumer,
    PubSubConsumer,
    RpcConsumer,
    SecureConsumer,
    SessionConsumer,
    StreamConsumer,
    ValidatedConsumer,
    WelcomeConsumer,
    host,
    websocket,
)

routes = [
    websocket("ws/", WelcomeConsumer),
    websocket("ws/echo/", EchoConsumer),
    websocket("ws/pubsub/", PubSubConsumer),
    websocket("ws/rpc/", RpcConsumer),
    websocket("ws/stream/", StreamConsumer),
    websocket("ws/data/", DataConsumer, signed_in=True),
    websocket("ws/session/", SessionConsumer, session=True),
    websocket("ws/secure/", SecureConsumer, scopes={"chat:read", "chat:write"}),
    websocket("ws/managed/", ManagedConsumer),
    websocket("ws/validated/", ValidatedConsumer),
    websocket("ws/timeout/", EchoConsumer, idle_timeout_s=settings.REALTIME["IDLE_TIMEOUT_S"]),
    websocket("ws/pooled/", EchoConsumer, pool_size=settings.REALTIME["POOL_SIZE"]),
    websocket("ws/chat/", ChatConsumer, signed_in=True),
    websocket("ws/admin/live/", LiveConsumer, staff=True, session=True),
    *host("acme.localhost", websocket("ws/lobby/", EchoConsumer)),
    *host("globex.localhost", websocket("ws/vault/", EchoConsumer, scopes={"websocket:access"})),
]
