"""The raw endpoints: text and binary messages without an envelope."""

from collections.abc import Awaitable
from typing import Any

from realtime.core.identity import UserId
from realtime.endpoints.consumers.base import RealtimeConsumer
from realtime.endpoints.shared import endpoints_of
from realtime.protocol.codec import RAW_MESSAGE_MAX_BYTES, decode_json, encode, readable_id, refused_id_in
from realtime.protocol.errors import ErrorCode, RequestError
from realtime.protocol.pieces import PIECE_CHARS
from realtime.sockets.outbox import PreparedMessage


class EchoConsumer(RealtimeConsumer):
    """Echoes text as text and binary as binary, nothing else."""

    def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> Awaitable[None]:
        """Send the message back, text as text and binary as binary."""
        return self.connection.outbox.send(PreparedMessage(text_data, bytes_data))


class WelcomeConsumer(EchoConsumer):
    """Greets, then echoes."""

    async def opened(self) -> None:
        """Greet with a text."""
        await self.send("Welcome to WebSocket!")


class ManagedConsumer(EchoConsumer):
    """Sends the server's facts about the connection, then echoes."""

    async def opened(self) -> None:
        """Send the connection's id, addresses and time of connection."""
        connection = self.connection
        facts = {
            "connection_id": connection.id,
            "remote_addr": connection.remote_addr,
            "local_addr": connection.local_addr,
            "connected_at": connection.opened_at.isoformat(),
        }
        await self.send(encode({"type": "connection", "payload": facts}))


class ValidatedConsumer(RealtimeConsumer):
    """Echoes valid messages and answers invalid ones with an error. Both leave the connection open."""

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """Check one message and answer it."""
        if text_data is None:
            raise RequestError(ErrorCode.INVALID_MESSAGE, "Expected a text frame, received a binary one.")
        try:
            message = await self._decoded(text_data)
        except RequestError as error:
            if error.request_id is None:
                error.request_id = refused_id_in(text_data)
            raise
        if self.connection.is_closing:
            return
        if not isinstance(message, dict) or not isinstance(message.get("type"), str):
            raise RequestError(
                ErrorCode.INVALID_MESSAGE,
                "Expected a JSON object with a string `type`.",
                details={"field": "type"},
                request_id=readable_id(message) if isinstance(message, dict) else None,
            )
        await self.send(text_data)

    async def _decoded(self, text: str) -> Any:
        if len(text) <= PIECE_CHARS:
            return decode_json(text)
        endpoints = endpoints_of(self.scope)
        return await endpoints.large_messages.decode(self.connection, text, max_bytes=RAW_MESSAGE_MAX_BYTES)

    def fits(self, size_bytes: int) -> bool:
        """Always True: a message that is too large is answered with an error."""
        return True


class SecureConsumer(RealtimeConsumer):
    """Greets signed-in users whose credential has the scopes of the route, and answers their messages."""

    async def opened(self) -> None:
        """Greet by user id."""
        await self.send(f"Welcome, user {self._user_id}!")

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """Answer every text with its sender and tenant."""
        if text_data is None:
            raise RequestError(ErrorCode.INVALID_MESSAGE, "Expected a text frame, received a binary one.")
        payload = {"user": self._user_id, "tenant": self.connection.tenant.slug, "text": text_data}
        await self.send(encode({"type": "reply", "payload": payload}))

    @property
    def _user_id(self) -> UserId | None:
        identity = self.connection.identity
        return identity.user_id if identity else None
