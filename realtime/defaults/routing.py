"""The WebSocket routes of a project that names none of its own."""

from django.apps import apps

from realtime.dashboard.apps import LiveAdminConfig
from realtime.dashboard.consumer import LiveConsumer
from realtime.endpoints.consumers.data import DataConsumer
from realtime.endpoints.consumers.pubsub import PubSubConsumer
from realtime.endpoints.consumers.raw import EchoConsumer, WelcomeConsumer
from realtime.endpoints.consumers.rpc import RpcConsumer
from realtime.endpoints.consumers.session import SessionConsumer
from realtime.endpoints.consumers.stream import StreamConsumer
from realtime.endpoints.routing import Route, websocket


def default_routes() -> list[Route]:
    """Return the usual routes, for `REALTIME["ROUTES"]` to add others. With the live page of the admin its feed, too."""
    routes = [
        websocket("ws/", WelcomeConsumer),
        websocket("ws/echo/", EchoConsumer),
        websocket("ws/pubsub/", PubSubConsumer),
        websocket("ws/rpc/", RpcConsumer),
        websocket("ws/stream/", StreamConsumer),
        websocket("ws/data/", DataConsumer, signed_in=True),
        websocket("ws/session/", SessionConsumer, session=True),
    ]
    if any(isinstance(config, LiveAdminConfig) for config in apps.get_app_configs()):
        routes.append(websocket("ws/admin/live/", LiveConsumer, staff=True, session=True))
    return routes
