"""Data made by the server at an interval. A client that falls behind gets the newest value, not a backlog."""

import asyncio
import time
from collections.abc import Awaitable
from contextlib import aclosing
from typing import Annotated, Any
from urllib.parse import parse_qs

import msgspec

from realtime.endpoints import wire
from realtime.endpoints.calls import was_cancelled
from realtime.endpoints.consumers.base import JsonConsumer
from realtime.endpoints.consumers.core_verbs import CORE_VERBS
from realtime.endpoints.shared import endpoints_of
from realtime.endpoints.streams import Feed, StreamSource, values_of
from realtime.endpoints.verbs import Call, Verb
from realtime.node.failures import request_error
from realtime.protocol.envelope import Reply
from realtime.protocol.errors import ErrorCode, RequestError

INTERVAL_MIN_S = 0.05
INTERVAL_MAX_S = 60.0
INTERVAL_DEFAULT_S = 1.0
DEFAULT_SOURCE = "random_walk"
STREAMS_MAX = 8

Interval = Annotated[float, msgspec.Meta(ge=INTERVAL_MIN_S, le=INTERVAL_MAX_S)]


class Start(msgspec.Struct, frozen=True):
    """Payload of `start`: a source and the seconds between its values."""

    source: str = DEFAULT_SOURCE
    interval: Interval = INTERVAL_DEFAULT_S


class Stop(msgspec.Struct, frozen=True):
    """Payload of `stop`."""

    stream: str


async def on_start(call: Call["StreamConsumer"], payload: Start) -> Reply:
    """Start another stream on this connection."""
    return Reply("started", {"stream": call.consumer.start(payload)})


async def on_stop(call: Call["StreamConsumer"], payload: Stop) -> Reply:
    """End a stream."""
    task = call.consumer.streams.pop(payload.stream, None)
    if task is None:
        raise RequestError(ErrorCode.NOT_FOUND, "No stream of this name runs here.")
    task.cancel()
    return Reply("stopped", {"stream": payload.stream})


class StreamConsumer(JsonConsumer):
    """Values at an interval. The stream named in the query string starts at once."""

    verbs = {
        **CORE_VERBS,
        "start": Verb(Start, on_start, reply="started", returns=wire.StreamName),
        "stop": Verb(Stop, on_stop, reply="stopped", returns=wire.StreamName),
    }

    def __init__(self, idle_timeout_s: float = 0.0) -> None:
        super().__init__(idle_timeout_s)
        # The running streams by name. `_started` counts all that have been started.
        self.streams: dict[str, asyncio.Task[None]] = {}
        self._started = 0

    async def welcomed(self) -> None:
        """Start the stream that the query string asks for."""
        try:
            self.start(_asked(self.scope["query_string"].decode("latin-1")))
        except RequestError as error:
            if error.code == ErrorCode.NOT_FOUND:
                # It is a query parameter here.
                error.details = {"field": "source"}
            await self.bad_message(error)

    def start(self, start: Start) -> str:
        """Start a stream and return its name. Raises RequestError(not_found | limit_exceeded)."""
        source = endpoints_of(self.scope).registry.sources.get(start.source)
        if source is None:
            raise RequestError(
                ErrorCode.NOT_FOUND, "No stream source has this name.", details={"field": "payload.source"}
            )
        if len(self.streams) >= STREAMS_MAX:
            raise RequestError(
                ErrorCode.LIMIT_EXCEEDED,
                f"A connection may have {STREAMS_MAX} streams at once; stop one first.",
            )
        self._started += 1
        name = f"s{self._started}"
        self.streams[name] = self.connection.spawn(self._stream(name, source, start.interval))
        return name

    async def _stream(self, name: str, source: StreamSource, interval_s: float) -> None:
        """Push the values of a source. However it ends by itself, its place is free and its client is told."""
        connection = self.connection
        try:
            pushing: Awaitable[None] = self._push_values(name, source, interval_s)
            if (watch := self.node.block_watch) is not None:
                pushing = watch.work(pushing, f"The stream source {source.name!r}", connection)
            await pushing
        except asyncio.CancelledError as failure:
            if was_cancelled():
                raise
            self._failed_stream(name, source, failure)
        except Exception as failure:
            self._failed_stream(name, source, failure)
        else:
            connection.push("stopped", {"stream": name, "source": source.name})
        finally:
            self.streams.pop(name, None)

    async def _push_values(self, name: str, source: StreamSource, interval_s: float) -> None:
        connection = self.connection
        due_s = time.monotonic()
        made = source.generate(Feed(self.node, connection.tenant, connection.identity, connection.address))
        async with aclosing(values_of(made)) as values:
            async for value in values:
                source.check(value)
                if connection.outbox.is_behind:
                    connection.metrics.dropped += 1
                else:
                    payload = {
                        "stream": name,
                        "source": source.name,
                        "timestamp": round(time.time(), 3),
                        "value": value,
                    }
                    connection.push("data", payload)
                # The next due time that has not passed. Late values are skipped, not sent in a burst.
                due_s = max(due_s + interval_s, time.monotonic())
                await asyncio.sleep(due_s - time.monotonic())

    def _failed_stream(self, name: str, source: StreamSource, failure: BaseException) -> None:
        error = request_error(failure, f"The stream source {source.name!r}", self.connection)
        error.details = {**(error.details or {}), "stream": name, "source": source.name}
        self.connection.push_error(error)


def _asked(query_string: str) -> Start:
    query = parse_qs(query_string)
    asked: dict[str, Any] = {name: query[name][-1] for name in ("source", "interval") if name in query}
    try:
        return msgspec.convert(asked, Start, strict=False)
    except msgspec.ValidationError as error:
        field = "interval" if "interval" in str(error) else "source"
        message = f"Wrong query parameter {field}: expected {INTERVAL_MIN_S:g} to {INTERVAL_MAX_S:g} seconds."
        raise RequestError(ErrorCode.INVALID_MESSAGE, message, details={"field": field}) from None
