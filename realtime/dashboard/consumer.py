"""The socket behind the live page: figures at a beat, while somebody looks."""

import asyncio
from dataclasses import dataclass
from time import monotonic
from typing import Annotated

import msgspec

from realtime.connection import Connection
from realtime.consumers.json import CORE_VERBS, JsonConsumer
from realtime.dashboard.feed import LiveFeed
from realtime.protocol.envelope import Reply
from realtime.verbs import Call, NoPayload, Verb

INTERVAL_MIN_S = 0.5
INTERVAL_MAX_S = 60.0
INTERVAL_DEFAULT_S = 2.0

Interval = Annotated[float, msgspec.Meta(ge=INTERVAL_MIN_S, le=INTERVAL_MAX_S)]


class Start(msgspec.Struct, frozen=True):
    """Payload of `live.start`: seconds between two pushes."""

    interval_s: Interval = INTERVAL_DEFAULT_S


async def on_start(call: Call, payload: Start) -> Reply:
    """Push from now on, at this interval."""
    _pulse(call.connection).start(payload.interval_s)
    return Reply("live.started", {"interval_s": payload.interval_s})


async def on_stop(call: Call, payload: NoPayload) -> Reply:
    """Push no more: the page is paused or out of sight."""
    _pulse(call.connection).stop()
    return Reply("live.stopped", {})


class LiveConsumer(JsonConsumer):
    """Pushes `live` from the start. Its route lets staff in only; who is no superuser sees one tenant."""

    verbs = {**CORE_VERBS, "live.start": Verb(Start, on_start), "live.stop": Verb(NoPayload, on_stop)}

    async def welcomed(self) -> None:
        """Begin at once."""
        identity = self.connection.identity
        sees_all = identity is not None and identity.is_superuser
        feed = LiveFeed(self.connection.runtime, None if sees_all else self.connection.tenant.slug)
        pulse = self.connection.state["live"] = _Pulse(self.connection, feed)
        pulse.start(INTERVAL_DEFAULT_S)


@dataclass(slots=True)
class _Pulse:
    """The beat of one page.

    A beat follows the one before after the whole interval, also over a stop and a start: rates over a moment
    say nothing.
    """

    connection: Connection
    feed: LiveFeed
    interval_s: float = INTERVAL_DEFAULT_S
    task: "asyncio.Task[None] | None" = None
    last_s: float = float("-inf")

    def start(self, interval_s: float) -> None:
        if self.task is not None and interval_s == self.interval_s:
            return
        self.stop()
        self.interval_s = interval_s
        self.task = self.connection.spawn(self._run())

    def stop(self) -> None:
        if self.task is not None:
            self.task.cancel()
            self.task = None

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(max(self.last_s + self.interval_s - monotonic(), 0.0))
            self.last_s = monotonic()
            if self.connection.outbox.is_behind:
                # The page does not keep up: it gets the next figures, not these late.
                self.connection.metrics.dropped += 1
            else:
                self.connection.push("live", {"interval_s": self.interval_s, **self.feed.beat()})


def _pulse(connection: Connection) -> _Pulse:
    pulse: _Pulse = connection.state["live"]
    return pulse
