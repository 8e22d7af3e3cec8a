"""A client's end of a socket, as a server gives it to the application: ASGI's `receive` and `send`, or ready frames."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

import msgspec

from tests.simulation.determinism import CLOCK
from tests.simulation.record import Message, Record, Session

ABNORMAL = 1006
TEXT_BYTE = 0x81


class Socket:
    """One connection. Each message of the node is written into the session's record and given to `on_message`.

    It is also the scope extension that takes ready frames, for clients that have such a server.
    """

    deflate_bits = 0
    # Messages wait in the outbox only.
    buffered_bytes = 0

    def __init__(
        self,
        session: Session,
        record: Record,
        *,
        answers_close: bool,
        on_message: Callable[[Message], None],
        on_end: Callable[[int], None],
    ) -> None:
        self.session = session
        self.receiver: Any = None
        self.on_flow: Callable[[], None] | None = None
        self.is_writable = True
        self.is_open = True
        self._record = record
        self._answers_close = answers_close
        self._on_message = on_message
        self._on_end = on_end
        self._received = 0
        self._inbox: deque[dict[str, Any]] = deque([{"type": "websocket.connect"}])
        self._waiter: asyncio.Future[None] | None = None
        self._reading: asyncio.Future[None] | None = None

    # What the client does.

    def ask(self, request_id: int, kind: str, payload: dict[str, Any]) -> None:
        """Send a request."""
        message = {"id": request_id, "type": kind, "payload": payload}
        order = self._record.add(self.session.name, "asks", request_id, kind, payload)
        self.session.messages.append(Message(order, CLOCK.now_s, True, -1, request_id, kind, payload))
        self._put({"type": "websocket.receive", "text": msgspec.json.encode(message).decode()})

    def leave(self, code: int = ABNORMAL) -> None:
        """The client is gone; the node hears of it after all that was sent before."""
        self._put({"type": "websocket.disconnect", "code": code})
        self.end(code)

    def pause(self) -> None:
        """Read nothing for a while."""
        self.is_writable = False
        self.session.was_paused = True
        self._flow_changed()

    def resume(self) -> None:
        """Read on."""
        self.is_writable = True
        if self._reading is not None and not self._reading.done():
            self._reading.set_result(None)
        self._reading = None
        self._flow_changed()

    def end(self, code: int) -> None:
        """The client sees the end of the connection."""
        if not self.is_open:
            return
        self.is_open = False
        order = self._record.add(self.session.name, "ends", code)
        self.session.ended_s, self.session.ended_order = CLOCK.now_s, order
        self.session.close_code = code
        self.resume()
        self._on_end(code)

    # What the node is given: ASGI.

    async def receive(self) -> dict[str, Any]:
        """The next event."""
        while not self._inbox:
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        return self._inbox.popleft()

    async def send(self, event: dict[str, Any]) -> None:
        """As ASGI's `send`: waits while the client does not read, fails when it is gone."""
        if event["type"] == "websocket.accept":
            return
        if not self.is_writable:
            if self._reading is None:
                self._reading = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._reading)
        if not self.is_open:
            raise OSError("the client is gone")
        if event["type"] == "websocket.close":
            self.close(event["code"], event["reason"])
        else:
            self._take(event["text"])

    # What the node is given: ready frames.

    @property
    def direct(self) -> "Socket | None":
        """Where frames may be written right now."""
        return self if self.is_writable and self.is_open else None

    def write(self, frames: bytes) -> None:
        """One write of one or more frames."""
        if self.is_open:
            for text in _texts(frames):
                self._take(text)

    def close(self, code: int, reason: str) -> None:
        """The node closes; most clients answer."""
        if not self.is_open:
            return
        self._record.add(self.session.name, "is closed", code, reason)
        if self._answers_close:
            self._put({"type": "websocket.disconnect", "code": code})
        self.end(code)

    def abort(self) -> None:
        """The node cuts the line."""
        if self.is_open:
            self._put({"type": "websocket.disconnect", "code": ABNORMAL})
            self.end(ABNORMAL)

    def _take(self, text: str) -> None:
        for line in text.split("\n"):
            envelope = msgspec.json.decode(line)
            message_id, kind, payload = envelope.get("id"), envelope["type"], envelope["payload"]
            shown = payload if kind != "welcome" else {}
            order = self._record.add(self.session.name, "gets", self._received, message_id, kind, shown)
            message = Message(order, CLOCK.now_s, False, self._received, message_id, kind, payload)
            self._received += 1
            self.session.messages.append(message)
            self._on_message(message)

    def _put(self, event: dict[str, Any]) -> None:
        if self.is_open:
            self._inbox.append(event)
            if self._waiter is not None and not self._waiter.done():
                self._waiter.set_result(None)

    def _flow_changed(self) -> None:
        if self.on_flow is not None:
            self.on_flow()


def _texts(frames: bytes) -> "list[str]":
    """The payloads of a server's text frames: never masked, never in parts."""
    texts, at = [], 0
    while at < len(frames):
        assert frames[at] == TEXT_BYTE, frames[at]
        size, at = frames[at + 1], at + 2
        if size >= 126:
            width = 2 if size == 126 else 8
            size, at = int.from_bytes(frames[at : at + width], "big"), at + width
        texts.append(frames[at : at + size].decode())
        at += size
    return texts
