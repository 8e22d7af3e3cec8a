"""A subscription, as the caller iterates over it."""

import asyncio
from collections import deque
from collections.abc import Callable
from types import TracebackType

from realtime.client.errors import ClientError, HistoryLostError
from realtime.client.listening import Listener
from realtime.client.types import Presence, Publication
from realtime.core.position import Position

# Publications that wait for the caller at most. Those after them stay in the server's history until there is room.
BUFFER_MAX = 1000

Buffered = Publication | ClientError


class Subscription:
    """The publications of a topic, once and in order, over any number of connections: `async for publication in …`.

    If some were lost, the iteration raises HistoryLostError; iterate again to go on from the server's position. It
    raises the error of the server if that refuses or ends the subscription, or if the client stops because of one.
    It ends after `close` and after the client's own `stop`.
    """

    def __init__(
        self,
        topic: str,
        *,
        since: Position | None,
        recover: bool,
        presence: bool,
        buffer_max: int,
        on_presence: Callable[[Presence], None] | None,
        wants_more: Callable[[], None],
        close: Callable[["Subscription"], None],
    ) -> None:
        self.topic = topic
        self.wants_presence = presence
        self.on_presence = on_presence
        self.listener = Listener(self._put, since=since, recover=recover)
        self._buffer: deque[Buffered] = deque()
        self._buffer_max = buffer_max
        self._arrived = asyncio.Event()
        self._is_over = False
        self._wants_more = wants_more
        self._close = close
        self._position = since

    @property
    def position(self) -> Position | None:
        """The position after the last publication that was handed out; None before the first one."""
        return self._position

    def __aiter__(self) -> "Subscription":
        return self

    async def __anext__(self) -> Publication:
        while not self._buffer:
            if self._is_over:
                raise StopAsyncIteration
            self._arrived.clear()
            await self._arrived.wait()
        item = self._buffer.popleft()
        if self.listener.is_paused and len(self._buffer) <= self._buffer_max // 2:
            self._wants_more()
        if isinstance(item, ClientError):
            raise item
        epoch = item.epoch or self.listener.epoch
        if epoch is not None:
            self._position = Position(epoch, item.offset)
        return item

    async def __aenter__(self) -> "Subscription":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the subscription. Publications that have arrived can still be iterated over."""
        self._close(self)
        self.end(None)

    def end(self, error: ClientError | None) -> None:
        """Tell the caller that nothing more comes, and why."""
        if not self._is_over and error is not None:
            self._buffer.append(error)
        self._is_over = True
        self._arrived.set()

    def lost(self) -> None:
        """Tell the caller that publications were lost."""
        self._buffer.append(HistoryLostError(self.topic))
        self._arrived.set()

    def _put(self, publication: Publication) -> bool:
        if len(self._buffer) >= self._buffer_max:
            return False
        self._buffer.append(publication)
        self._arrived.set()
        return True
