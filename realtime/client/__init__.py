"""The client in Python: topics that recover, requests, streams and live queries over one WebSocket.

Needs no Django settings. `AsyncClient` is for asyncio, `Client` for all other code:

    with Client("wss://shop.example/ws/pubsub/", token="…") as client:
        client.publish("orders:7", {"state": "shipped"})
        for publication in client.subscribe("orders:7"):
            print(publication.data)
"""

from realtime.client.credentials import TokenReason
from realtime.client.errors import ClientError, DisconnectedError, HistoryLostError, SignedOutError
from realtime.client.online import AsyncClient
from realtime.client.subscription import Subscription
from realtime.client.sync import Client, SyncSubscription
from realtime.client.types import (
    Change,
    History,
    Presence,
    PresentUser,
    Publication,
    Rows,
    State,
    StreamValue,
    User,
)
from realtime.core.position import Position

__all__ = [
    "AsyncClient",
    "Change",
    "Client",
    "ClientError",
    "DisconnectedError",
    "History",
    "HistoryLostError",
    "Position",
    "Presence",
    "PresentUser",
    "Publication",
    "Rows",
    "SignedOutError",
    "State",
    "StreamValue",
    "Subscription",
    "SyncSubscription",
    "TokenReason",
    "User",
]
