"""The requests of a client that wait for their replies."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from math import isfinite
from typing import Any

import msgspec

from realtime.client.errors import ClientError, DisconnectedError, error_of, timed_out, unsent

_encoder = msgspec.json.Encoder()
Message = dict[str, Any]


class _Pending:
    """A request: the messages of its reply, and its frame until that is sent."""

    def __init__(self, unsent: str | None) -> None:
        self.unsent = unsent
        # Whether nothing more comes.
        self.is_over = False
        self.arrived: asyncio.Queue[Message | ClientError] = asyncio.Queue()


class Requests:
    """Matches replies with requests by their ids. Without a connection at most `queue_max` of them wait."""

    def __init__(self, send: Callable[[str], None], queue_max: int) -> None:
        self._send = send
        self._queue_max = queue_max
        self._pending: dict[str, _Pending] = {}
        self._next_id = 1
        self.is_open = False

    async def ask(self, verb: str, payload: Mapping[str, Any], timeout_s: float) -> dict[str, Any]:
        """Send a request and return the payload of its reply; raises ClientError. Of a paged reply `items` has those
        of all pages. `timeout_s` is the time until the reply, and between two pages (0: no limit)."""
        request_id, pending = self._begin(verb, payload)
        items: list[Any] = []
        try:
            while True:
                page = await self._page(pending, timeout_s)
                if page.get("more") is True:
                    items += page["items"]
                    continue
                return page if not items else {**page, "items": items + page["items"]}
        finally:
            self._end(request_id, pending)

    async def pages(
        self, verb: str, payload: Mapping[str, Any], timeout_s: float
    ) -> AsyncGenerator[dict[str, Any], None]:
        """Send a request and yield the payload of each page of its reply. Leaving early ends the request."""
        request_id, pending = self._begin(verb, payload)
        try:
            has_more = True
            while has_more:
                page = await self._page(pending, timeout_s)
                has_more = page.get("more") is True
                yield page
        finally:
            self._end(request_id, pending)

    def settle(self, message: Message) -> None:
        """Take a message that has an id."""
        pending = self._pending.get(str(message["id"]))
        if pending is not None:
            is_error = message["type"] == "error"
            pending.arrived.put_nowait(error_of(message.get("payload", {})) if is_error else message)

    def flush(self) -> None:
        """Send what has waited for a connection, in the order in which it was asked."""
        for pending in self._pending.values():
            if pending.unsent is not None:
                self._send(pending.unsent)
                pending.unsent = None

    def close(self, error: ClientError | None = None) -> None:
        """The connection has ended. Requests that were sent fail. With an `error` the requests in the queue fail, too."""
        self.is_open = False
        for pending in self._pending.values():
            if pending.unsent is None or error is not None:
                pending.arrived.put_nowait(
                    error or DisconnectedError("The connection was lost before the reply.")
                )

    def _begin(self, verb: str, payload: Mapping[str, Any]) -> tuple[str, _Pending]:
        if (
            not self.is_open
            and sum(each.unsent is not None for each in self._pending.values()) >= self._queue_max
        ):
            raise DisconnectedError
        request_id, self._next_id = str(self._next_id), self._next_id + 1
        frame = frame_of(verb, payload, request_id)
        pending = self._pending[request_id] = _Pending(None if self.is_open else frame)
        if self.is_open:
            self._send(frame)
        return request_id, pending

    async def _page(self, pending: _Pending, timeout_s: float) -> dict[str, Any]:
        try:
            async with asyncio.timeout(timeout_s or None):
                item = await pending.arrived.get()
        except TimeoutError:
            raise (timed_out() if pending.unsent is None else unsent()) from None
        if isinstance(item, ClientError):
            pending.is_over = True
            raise item
        page: dict[str, Any] = item.get("payload", {})
        pending.is_over = page.get("more") is not True
        return page

    def _end(self, request_id: str, pending: _Pending) -> None:
        self._pending.pop(request_id, None)
        if not pending.is_over and pending.unsent is None and self.is_open:
            self._send(frame_of("cancel", {"id": request_id}))


def frame_of(verb: str, payload: Mapping[str, Any], request_id: str | None = None) -> str:
    """Return the text of a request; without an id it wants no reply. Raises TypeError, and ValueError for NaN and the
    infinities, for what JSON cannot hold."""
    message: Message = {"type": verb, "payload": payload}
    if request_id is not None:
        message = {"id": request_id, **message}
    frame = _encoder.encode(message)
    if b"null" in frame:
        # The encoder writes NaN and the infinities as null.
        _require_finite(payload)
    return frame.decode()


def _require_finite(value: object) -> None:
    if isinstance(value, float) and not isfinite(value):
        raise ValueError(f"{value!r} is not JSON compliant.")
    if isinstance(value, Mapping):
        value = value.values()
    elif not isinstance(value, list | tuple | set | frozenset):
        return
    for each in value:
        _require_finite(each)
