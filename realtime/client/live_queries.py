"""Live queries as async iterators: all rows, then each change; and all rows anew after a reconnect."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Mapping
from typing import Any

import msgspec

from realtime.client.errors import ClientError, DisconnectedError, error_of
from realtime.client.retries import backoff_s
from realtime.client.streams import Streaming
from realtime.client.types import Change, Rows, State, StateName
from realtime.protocol.errors import ErrorCode

# Changes that wait for the caller. Beyond it the query is asked again.
CHANGES_MAX = 1000


class _BehindError(Exception):
    """The caller was too slow, so that changes were dropped."""


class _Heard:
    """The messages of a connection about live queries. All of them are kept until the name of our query is known."""

    def __init__(self) -> None:
        self.name: str | None = None
        self.is_lost = False
        self._is_behind = False
        self._items: deque[tuple[str | None, Change | ClientError]] = deque()
        self._wakes = asyncio.Event()

    def forget(self) -> None:
        """Begin anew."""
        self.name, self.is_lost, self._is_behind = None, False, False
        self._items.clear()

    def changed(self, payload: Mapping[str, Any]) -> None:
        self._put(payload.get("query_id"), msgspec.convert(payload, Change))

    def ended(self, payload: Mapping[str, Any]) -> None:
        message = {"code": payload.get("code"), "message": payload.get("reason")}
        self._put(payload.get("query_id"), error_of(message))

    def state(self, state: State) -> None:
        if state.name is not StateName.ONLINE:
            self.is_lost = True
            self._wakes.set()

    def _put(self, name: str | None, item: Change | ClientError) -> None:
        if self.name is not None and name != self.name:
            return
        if len(self._items) >= CHANGES_MAX:
            self._is_behind = True
        else:
            self._items.append((name, item))
        self._wakes.set()

    async def next(self) -> Change | None:
        """Return the next change, or None if the rights of the connection have changed and it is asked again.

        Raises the error with which the server ended the query, DisconnectedError, or _BehindError.
        """
        while True:
            while self._items and not self.is_lost:
                name, item = self._items.popleft()
                if name != self.name:
                    continue
                if isinstance(item, ClientError):
                    self.name = None
                    if item.code == ErrorCode.PERMISSION_DENIED:
                        return None
                    raise item
                return item
            if self.is_lost:
                raise DisconnectedError
            if self._is_behind:
                raise _BehindError
            self._wakes.clear()
            await self._wakes.wait()


async def changes_of(
    client: Streaming,
    query: str,
    params: Mapping[str, Any],
    page_size: int | None,
    random: Callable[[], float],
) -> AsyncGenerator[Rows | Change, None]:
    """Watch a query and yield its rows and changes; ask it again after a reconnect. Closing it stops watching."""
    heard = _Heard()
    removes = [
        client.on("change", heard.changed),
        client.on("unwatched", heard.ended),
        client.on("state", heard.state),
    ]
    asked = {"query": query, "params": params, "watch": True} | (
        {"page_size": page_size} if page_size else {}
    )
    try:
        while True:
            await client.ready()
            heard.forget()
            try:
                yield await _rows(client, asked, heard, random)
                while (change := await heard.next()) is not None:
                    yield change
            except DisconnectedError:
                # It comes back, or `ready` says why it does not.
                continue
            except _BehindError:
                client.tell("unwatch", {"query_id": heard.name})
    finally:
        for remove in removes:
            remove()
        if heard.name is not None and not heard.is_lost:
            client.tell("unwatch", {"query_id": heard.name})


async def _rows(
    client: Streaming, asked: Mapping[str, Any], heard: _Heard, random: Callable[[], float]
) -> Rows:
    """Return the rows; a refusal that may pass is tried again. Raises ClientError."""
    failures = 0
    while True:
        try:
            reply = await client.request("query", asked)
        except DisconnectedError:
            raise
        except ClientError as error:
            if not error.retryable:
                raise
            failures += 1
            await asyncio.sleep(max(error.retry_after_s, backoff_s(failures, random())))
            await client.ready()
            heard.forget()
            continue
        heard.name = reply["query_id"]
        return Rows(reply["items"])
