"""Streams as async iterators."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Mapping
from typing import Any, Protocol

import msgspec

from realtime.client.errors import ClientError, DisconnectedError, error_of
from realtime.client.types import State, StateName, StreamValue

# Values that wait for the caller. Older ones are dropped, as the server does.
VALUES_MAX = 100


class Streaming(Protocol):
    """A client, as streams use it."""

    def on(self, kind: str, listener: Callable[[Any], None]) -> Callable[[], None]:
        """Listen to pushes and states."""
        ...

    async def ready(self) -> None:
        """Wait until it is online."""
        ...

    async def request(self, verb: str, payload: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Send a request."""
        ...

    def tell(self, verb: str, payload: Mapping[str, Any]) -> None:
        """Send a message without an answer."""
        ...


class _Heard:
    """The messages of a connection about streams. All of them are kept until the name of our stream is known."""

    def __init__(self) -> None:
        self.name: str | None = None
        self.is_lost = False
        self._items: deque[tuple[str | None, StreamValue | ClientError | None]] = deque(maxlen=VALUES_MAX)
        self._wakes = asyncio.Event()

    def forget(self) -> None:
        """Begin anew, on a new connection."""
        self.name, self.is_lost = None, False
        self._items.clear()

    def value(self, payload: Mapping[str, Any]) -> None:
        self._put(payload.get("stream"), msgspec.convert(payload, StreamValue))

    def stopped(self, payload: Mapping[str, Any]) -> None:
        self._put(payload.get("stream"), None)

    def failed(self, payload: Mapping[str, Any]) -> None:
        self._put((payload.get("details") or {}).get("stream"), error_of(payload))

    def state(self, state: State) -> None:
        if state.name is not StateName.ONLINE:
            self.is_lost = True
            self._wakes.set()

    def _put(self, stream: str | None, item: StreamValue | ClientError | None) -> None:
        if self.name is None or stream == self.name:
            self._items.append((stream, item))
            self._wakes.set()

    async def next(self) -> StreamValue | ClientError | None:
        """Return the next value, the error of the stream, or None at its end; raises DisconnectedError."""
        while True:
            while self._items:
                stream, item = self._items.popleft()
                if stream == self.name:
                    return item
            if self.is_lost:
                raise DisconnectedError
            self._wakes.clear()
            await self._wakes.wait()


async def values_of(client: Streaming, source: str, interval_s: float) -> AsyncGenerator[StreamValue, None]:
    """Start a stream and yield its values; start it again after a reconnect. Closing it stops the stream."""
    heard = _Heard()
    removes = [
        client.on("data", heard.value),
        client.on("stopped", heard.stopped),
        client.on("error", heard.failed),
        client.on("state", heard.state),
    ]
    try:
        while True:
            await client.ready()
            heard.forget()
            try:
                reply = await client.request("start", {"source": source, "interval": interval_s})
                heard.name = reply["stream"]
                while (item := await heard.next()) is not None:
                    if isinstance(item, ClientError):
                        heard.name = None
                        raise item
                    yield item
            except DisconnectedError:
                # It comes back, or `ready` says why it does not.
                continue
            heard.name = None
            return
    finally:
        for remove in removes:
            remove()
        if heard.name is not None and not heard.is_lost:
            client.tell("stop", {"stream": heard.name})
