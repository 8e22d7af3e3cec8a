"""The client for code without asyncio: an AsyncClient on an event loop in a thread of its own."""

import asyncio
import threading
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator, Mapping
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from realtime.client.errors import none_came
from realtime.client.online import REQUEST_TIMEOUT_S, AsyncClient
from realtime.client.subscription import BUFFER_MAX, Subscription
from realtime.client.types import Change, History, Presence, Publication, Rows, State, StreamValue
from realtime.core.position import Position

T = TypeVar("T")


class _Loop:
    """An event loop in a daemon thread."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="realtime-client", daemon=True)
        self._thread.start()

    def result(self, work: Coroutine[Any, Any, T]) -> T:
        """Run `work` there and return its result. An interruption here cancels it."""
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def call(self, function: Callable[[], T]) -> T:
        """Call a plain function there."""

        async def call() -> T:
            return function()

        return self.result(call())

    def close(self) -> None:
        """End the thread."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


class _Closed(ABC):
    """Closes at the end of a `with`."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @abstractmethod
    def close(self) -> None:
        """End it."""


class SyncIterator(_Closed, Generic[T]):
    """An async iterator of the client's loop, as a plain one. It is a context manager that closes it."""

    def __init__(self, loop: _Loop, values: AsyncGenerator[T, None]) -> None:
        self._loop = loop
        self._values = values

    def __iter__(self) -> Iterator[T]:
        return self

    def __next__(self) -> T:
        try:
            return self._loop.result(_step(self._values))
        except _EndError:
            raise StopIteration from None

    def close(self) -> None:
        """End it: the stream is stopped, the request ended."""
        self._loop.result(self._values.aclose())


class SyncSubscription(_Closed):
    """As Subscription, for code without asyncio: `for publication in client.subscribe("orders:7")`."""

    def __init__(self, loop: _Loop, subscription: Subscription) -> None:
        self._loop = loop
        self._subscription = subscription

    @property
    def topic(self) -> str:
        """The name of the topic."""
        return self._subscription.topic

    @property
    def position(self) -> Position | None:
        """The position after the last publication that was handed out; None before the first one."""
        return self._subscription.position

    def __iter__(self) -> Iterator[Publication]:
        return self

    def __next__(self) -> Publication:
        return self.next()

    def next(self, timeout_s: float | None = None) -> Publication:
        """Return the next publication.

        Raises ClientError(timeout) if none comes within `timeout_s` seconds (None: no limit), and what the iteration
        over a Subscription raises; StopIteration at the end.
        """
        try:
            return self._loop.result(_next(self._subscription, timeout_s))
        except _EndError:
            raise StopIteration from None

    def close(self) -> None:
        """End the subscription."""
        self._loop.call(self._subscription.close)


class Client:
    """As AsyncClient, for code without asyncio: the same arguments and methods, without `await`.

    Functions that it calls (`get_token`, `on_presence`, listeners) run in its thread and must not call it. It may be
    used from several threads.
    """

    def __init__(self, url: str, **options: Any) -> None:
        """`options` are those of AsyncClient."""
        self._client = AsyncClient(url, **options)
        self._loop: _Loop | None = None

    def __enter__(self) -> "Client":
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def state(self) -> State:
        """The state of the connection."""
        return self._client.state

    def start(self) -> None:
        """Connect, and stay connected until `stop`."""
        if self._loop is None:
            self._loop = _Loop()
            self._loop.call(self._client.start)

    def stop(self) -> None:
        """Disconnect, and end the thread."""
        loop, self._loop = self._loop, None
        if loop is not None:
            loop.result(self._client.stop())
            loop.close()

    def ready(self) -> None:
        """Wait until the client is online. Raises SignedOutError or DisconnectedError if it has stopped."""
        self._going.result(self._client.ready())

    def on(self, kind: str, listener: Callable[[Any], None]) -> Callable[[], None]:
        """As AsyncClient.on."""
        return self._client.on(kind, listener)

    def request(
        self, verb: str, payload: Mapping[str, Any] | None = None, *, timeout_s: float = REQUEST_TIMEOUT_S
    ) -> dict[str, Any]:
        """As AsyncClient.request."""
        return self._going.result(self._client.request(verb, payload, timeout_s=timeout_s))

    def pages(
        self, verb: str, payload: Mapping[str, Any] | None = None, *, timeout_s: float = REQUEST_TIMEOUT_S
    ) -> SyncIterator[dict[str, Any]]:
        """As AsyncClient.pages."""
        return SyncIterator(self._going, self._client.pages(verb, payload, timeout_s=timeout_s))

    def subscribe(
        self,
        topic: str,
        *,
        since: Position | None = None,
        recover: bool = True,
        presence: bool = False,
        on_presence: Callable[[Presence], None] | None = None,
        buffer_max: int = BUFFER_MAX,
    ) -> SyncSubscription:
        """As AsyncClient.subscribe."""
        loop = self._going
        subscription = loop.call(
            lambda: self._client.subscribe(
                topic,
                since=since,
                recover=recover,
                presence=presence,
                on_presence=on_presence,
                buffer_max=buffer_max,
            )
        )
        return SyncSubscription(loop, subscription)

    def publish(self, topic: str, data: Any, *, idempotency_key: str | None = None) -> Position:
        """As AsyncClient.publish."""
        return self._going.result(self._client.publish(topic, data, idempotency_key=idempotency_key))

    def history(self, topic: str, *, since: Position | None = None, limit: int = 100) -> History:
        """As AsyncClient.history."""
        return self._going.result(self._client.history(topic, since=since, limit=limit))

    def presence(self, topic: str) -> Presence:
        """As AsyncClient.presence."""
        return self._going.result(self._client.presence(topic))

    def stream(self, source: str, *, interval_s: float = 1.0) -> SyncIterator[StreamValue]:
        """As AsyncClient.stream."""
        return SyncIterator(self._going, self._client.stream(source, interval_s=interval_s))

    def live_query(
        self, query: str, params: Mapping[str, Any] | None = None, *, page_size: int | None = None
    ) -> SyncIterator[Rows | Change]:
        """As AsyncClient.live_query."""
        return SyncIterator(self._going, self._client.live_query(query, params, page_size=page_size))

    @property
    def _going(self) -> _Loop:
        if self._loop is None:
            raise RuntimeError("The client is not started: use `with Client(…)`, or call start().")
        return self._loop


class _EndError(Exception):
    """StopIteration may not leave a coroutine."""


async def _step(values: AsyncGenerator[T, None]) -> T:
    try:
        return await anext(values)
    except StopAsyncIteration:
        raise _EndError from None


async def _next(subscription: Subscription, timeout_s: float | None) -> Publication:
    try:
        async with asyncio.timeout(timeout_s):
            return await anext(subscription)
    except TimeoutError:
        raise none_came(timeout_s or 0.0) from None
    except StopAsyncIteration:
        raise _EndError from None
