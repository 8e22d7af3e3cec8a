"""A client that follows one topic through restarts, as the protocol tells it to: comes back spread out, and recovers."""

import asyncio
import json
import random
import time
from dataclasses import dataclass, field
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.servers.nginx import trusting
from tests.servers.process import HOST

# As in the JavaScript client (backoff.js).
BACKOFF_MIN_S = 0.5
BACKOFF_MAX_S = 5.0


@dataclass
class Seen:
    """The events of one client. A gap is from the loss of its connection to its next subscription."""

    lost: int = 0
    recovered: int = 0
    not_recovered: int = 0
    longest_gap_s: float = 0.0
    # HTTP statuses of handshakes that were refused; 0 if there was no answer.
    refused: list[int] = field(default_factory=list)


class Follower:
    """One client. `numbers` are those of the publications that it got."""

    def __init__(self, port: int, topic: str, address: str) -> None:
        """Connect to nginx on `port`, from `address`."""
        self.topic = topic
        self.numbers: list[int] = []
        self.seen = Seen()
        self.is_following = asyncio.Event()
        self._port = port
        self._address = address
        self._position: dict[str, Any] | None = None
        self._lost_s: float | None = None
        self._failures = 0
        self._trust = trusting()

    async def run(self) -> None:
        """Follow until cancelled."""
        while True:
            try:
                async with connect(
                    f"wss://{HOST}:{self._port}/ws/pubsub/",
                    host="127.0.0.1",
                    port=self._port,
                    local_addr=(self._address, 0),
                    ssl=self._trust,
                    open_timeout=10,
                    ping_interval=None,
                    proxy=None,
                ) as socket:
                    await self._follow(socket)
            except InvalidStatus as refused:
                self.seen.refused.append(refused.response.status_code)
            except (OSError, TimeoutError):
                self.seen.refused.append(0)
            except ConnectionClosed:
                self._lost()
            await asyncio.sleep(self._backoff_s())

    async def _follow(self, socket: ClientConnection) -> None:
        wish = {"topic": self.topic} | ({"recover": self._position} if self._position else {})
        await socket.send(json.dumps({"id": 1, "type": "subscribe", "payload": wish}))
        async for frame in socket:
            message = json.loads(frame)
            payload = message["payload"]
            if message["type"] == "subscribed":
                self._subscribed(payload)
            elif message["type"] == "publication":
                self._take(payload)
            elif message["type"] == "error":
                raise AssertionError(message)
        # A clean close ends the loop without an error.
        self._lost()

    def _subscribed(self, payload: dict[str, Any]) -> None:
        if self._lost_s is not None:
            self.seen.longest_gap_s = max(self.seen.longest_gap_s, time.monotonic() - self._lost_s)
            self._lost_s = None
        if self._position is not None:
            self.seen.recovered += payload["recovered"] is True
            self.seen.not_recovered += payload["recovered"] is not True
        self._position = {"epoch": payload["epoch"], "offset": payload["offset"]}
        for each in payload["publications"]:
            self._take(each)
        self._failures = 0
        self.is_following.set()

    def _take(self, publication: dict[str, Any]) -> None:
        assert self._position is not None
        self._position["offset"] = publication["offset"]
        self.numbers.append(publication["data"]["n"])

    def _lost(self) -> None:
        self.seen.lost += 1
        if self._lost_s is None:
            self._lost_s = time.monotonic()

    def _backoff_s(self) -> float:
        ceiling = min(BACKOFF_MAX_S, BACKOFF_MIN_S * 2 ** (self._failures + 1))
        self._failures += 1
        return random.uniform(BACKOFF_MIN_S, ceiling)
