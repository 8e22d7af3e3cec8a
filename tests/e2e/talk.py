"""A conversation over one socket, in the protocol's words. The client below it is `websockets`, not ours."""

import asyncio
import itertools
import json
import time
from collections.abc import Callable
from typing import Any

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

# How long anything may take on a busy machine before the test fails.
WAIT_S = 15.0

Message = dict[str, Any]


class Talk:
    """One open socket: requests and their replies, pushes, frames, the end."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.welcome: Message = {}
        self._ids = itertools.count(1)
        self._waiting: list[Message] = []

    @property
    def received_anything(self) -> bool:
        """Whether a message is there that nobody has asked for."""
        return bool(self._waiting)

    async def send(self, message_type: str, payload: Any = None, **fields: Any) -> None:
        """Send one envelope without an id, or with the `id` given."""
        message = {"type": message_type} | ({} if payload is None else {"payload": payload}) | fields
        await self.socket.send(json.dumps(message))

    async def send_frame(self, frame: str | bytes) -> None:
        """Send a frame as it is."""
        await self.socket.send(frame)

    async def frame(self, wait_s: float = WAIT_S) -> str | bytes:
        """The next frame, whatever it is."""
        async with asyncio.timeout(wait_s):
            return await self.socket.recv()

    async def message(self, wait_s: float = WAIT_S) -> Message:
        """The next message, in the order they came."""
        if self._waiting:
            return self._waiting.pop(0)
        return decoded(await self.frame(wait_s))

    async def first(self, wanted: Callable[[Message], bool], wait_s: float = WAIT_S) -> Message:
        """The first message that `wanted` takes; those before it stay for others."""
        for index, message in enumerate(self._waiting):
            if wanted(message):
                return self._waiting.pop(index)
        deadline_s = time.monotonic() + wait_s
        while True:
            message = decoded(await self.frame(max(deadline_s - time.monotonic(), 0.001)))
            if wanted(message):
                return message
            self._waiting.append(message)

    async def request(self, message_type: str, payload: Any = None, **fields: Any) -> Message:
        """Send a request with an id of its own (or the one given) and return its reply, error or not."""
        request_id = fields.pop("id", None) or f"r{next(self._ids)}"
        await self.send(message_type, payload, id=request_id, **fields)
        return await self.reply_to(request_id)

    async def ask(self, message_type: str, payload: Any = None) -> Any:
        """Request and return the payload of a reply that is no error."""
        reply = await self.request(message_type, payload)
        assert reply["type"] != "error", reply
        return reply["payload"]

    async def reply_to(self, request_id: str | int, wait_s: float = WAIT_S) -> Message:
        """The next message with this id."""
        return await self.first(lambda message: message.get("id") == request_id, wait_s)

    async def push(self, message_type: str, wait_s: float = WAIT_S) -> Message:
        """The payload of the next push of this type."""
        message = await self.first(
            lambda message: "id" not in message and message["type"] == message_type, wait_s
        )
        payload: Message = message["payload"]
        return payload

    async def error(self) -> Message:
        """The next error, whatever it answers."""
        return await self.first(lambda message: message["type"] == "error")

    async def settle(self) -> list[Message]:
        """All that came before the answer to a ping sent now."""
        await self.send("ping", id="settle")
        await self.reply_to("settle")
        came, self._waiting = self._waiting, []
        return came

    async def is_alive(self) -> bool:
        """Whether the server still answers a WebSocket ping."""
        try:
            async with asyncio.timeout(WAIT_S):
                await (await self.socket.ping())
        except ConnectionClosed:
            return False
        return True

    async def closed(self, wait_s: float = WAIT_S) -> tuple[int, str]:
        """Read to the end; the close code and reason (1006 where there was no close frame)."""
        try:
            async with asyncio.timeout(wait_s):
                while True:
                    frame = await self.socket.recv()
                    is_envelope = isinstance(frame, str) and frame.startswith("{")
                    self._waiting.append(json.loads(frame) if is_envelope else {"type": "", "frame": frame})
        except ConnectionClosed:
            return self.socket.close_code or 1006, self.socket.close_reason or ""


def decoded(frame: str | bytes) -> Message:
    """An envelope, as JSON endpoints send it."""
    assert isinstance(frame, str), f"expected a text frame, received {len(frame)} bytes"
    message = json.loads(frame)
    assert isinstance(message, dict), message
    assert isinstance(message.get("type"), str), message
    assert isinstance(message.get("payload", {}), dict), message
    return message


def assert_reply(message: Message, message_type: str, **payload: Any) -> Message:
    """`message` is of this type and its payload holds at least these; returns the payload."""
    assert message["type"] == message_type, message
    held: Message = message.get("payload", {})
    for name, value in payload.items():
        assert held.get(name) == value, (name, value, message)
    return held


def assert_error(message: Message, code: str) -> Message:
    """`message` is an error with this code, built as the protocol says; returns its payload."""
    assert message["type"] == "error", message
    payload: Message = message["payload"]
    assert payload["code"] == code, message
    assert isinstance(payload["message"], str), message
    assert payload["message"], message
    assert isinstance(payload["retryable"], bool), message
    assert set(payload) <= {"code", "message", "retryable", "retry_after_ms", "details"}, message
    return payload


async def assert_closed(talk: Talk, *codes: int, wait_s: float = WAIT_S) -> str:
    """The server ends the socket with one of `codes`; returns the reason."""
    code, reason = await talk.closed(wait_s)
    assert code in codes, f"closed with {code} {reason!r}, expected {codes}"
    return reason
