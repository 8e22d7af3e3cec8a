"""Consumers of Channels itself (`AsyncJsonWebsocketConsumer`, `WebsocketConsumer` and others) beside ours.

They get what Channels' own middleware gives them (`user`, `session`, `cookies`, `url_route`), and our limits, outbox,
figures and operations act on their connections as on any other.
"""

import asyncio
from collections.abc import Mapping
from importlib import import_module
from time import monotonic
from typing import Any, ClassVar

from django.apps import apps
from django.conf import settings
from django.contrib.auth import get_user_model
from django.http.cookie import parse_cookie

from realtime.core.identity import Identity
from realtime.core.slots import owner_of
from realtime.endpoints.consumers.base import ABNORMAL_CLOSURE, INTERNAL_CLOSURE, RealtimeConsumer
from realtime.node.failures import request_error
from realtime.node.ports import LoadedSession
from realtime.protocol.errors import forbidden, unauthenticated
from realtime.sockets.outbox import PreparedMessage
from realtime.sockets.types import Application, Event, Receive, Scope, Send


class PlainConsumer(RealtimeConsumer):
    """Serves one socket with a consumer of Channels. `websocket()` makes a subclass of it for each such consumer."""

    consumer: ClassVar[Any] = None

    def __init__(self, **initkwargs: Any) -> None:
        """`initkwargs` go to the consumer."""
        super().__init__()
        self._app: Application = self.consumer.as_asgi(**initkwargs)
        self._is_accepted = False
        self._is_denied = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one socket from its handshake to its end. Raises Refusal(403) if the consumer does not accept it."""
        self.scope = scope
        self._receive, self._send = receive, send
        self._task = asyncio.current_task()
        inner = await self._inner_scope()
        try:
            await self._app(inner, self._next, self._take_out)
        except asyncio.CancelledError:
            if not (self._is_accepted and self.connection.is_closing):
                raise
        except Exception as failure:
            if not self._is_accepted:
                raise
            request_error(failure, "The consumer", self.connection)
            self.connection.close(INTERNAL_CLOSURE, "the server failed")
            # An outbox over ASGI sends the close in its own task, which ends with the connection.
            await asyncio.sleep(0)
        finally:
            if self._is_accepted:
                await self.node.release(self.connection, self.connection.close_code or self._code)
        if self._is_denied:
            raise forbidden("permission_denied", "The endpoint does not accept this connection.")

    # Set by the client's close.
    _code = ABNORMAL_CLOSURE

    async def _inner_scope(self) -> dict[str, Any]:
        scope = self.scope
        inner = dict(scope)
        header = b"; ".join(value for name, value in scope.get("headers", ()) if name == b"cookie")
        inner["cookies"] = parse_cookie(header.decode("latin-1"))
        inner["url_route"] = scope.get("url_route", {"args": (), "kwargs": {}})
        client = scope.get("client")
        owner = owner_of(scope["tenant"], scope["identity"], str(client[0]) if client else "")
        inner["user"], inner["session"] = await self.node.database.run_for(
            owner, _user_and_session, scope["identity"], scope.get("session")
        )
        return inner

    async def _next(self) -> Event:
        """As ASGI's `receive`, at the rate that the connection may have."""
        if self._is_denied:
            return {"type": "websocket.disconnect", "code": ABNORMAL_CLOSURE}
        while True:
            event: Event = await self._receive()
            if event["type"] == "websocket.disconnect":
                self._code = int(event.get("code") or ABNORMAL_CLOSURE)
                return event
            if event["type"] != "websocket.receive" or await self._is_let_in(event):
                return event

    async def _is_let_in(self, event: Mapping[str, Any]) -> bool:
        connection = self.connection
        if connection.close_code is not None:
            return False
        text, data = event.get("text"), event.get("bytes")
        size_bytes = len(text.encode()) if text is not None else len(data or b"")
        connection.messages_in += 1
        connection.metrics.messages_in += 1
        connection.metrics.bytes_in += size_bytes
        if not self.fits(size_bytes):
            return False
        wait_s = self._take(monotonic(), size_bytes)
        if wait_s:
            return await self._slow_down(wait_s, size_bytes)
        self._fast_since_s = None
        return True

    async def _take_out(self, event: Event) -> None:
        """As ASGI's `send`, through the outbox of the connection."""
        kind = event["type"]
        if kind == "websocket.accept":
            await self._accept(event)
        elif not self._is_accepted:
            # An answer by HTTP is the consumer's own; a close before the socket is accepted is a refusal.
            self._is_denied = self._is_denied or kind == "websocket.close"
            if kind != "websocket.close":
                await self._send(event)
        elif kind == "websocket.close":
            self.connection.close(event.get("code") or 1000, event.get("reason") or "")
        else:
            await self.connection.outbox.send(PreparedMessage(event.get("text"), event.get("bytes")))

    async def _accept(self, event: Event) -> None:
        subprotocol = event.get("subprotocol") or self.scope["subprotocol"]
        await self._send({**event, "subprotocol": subprotocol})
        self.connection = self.node.open(self.scope, self._send, is_json=False)
        # A synchronous consumer accepts in a task of its own.
        self.connection.read_by(self._task)
        self._is_accepted = True


def _user_and_session(identity: Identity | None, session: LoadedSession | None) -> tuple[Any, Any]:
    """Return the user and the session as Channels' middleware puts them into the scope. Reads the database."""
    return _user_of(identity), _session_of(session)


def _user_of(identity: Identity | None) -> Any:
    if not apps.is_installed("django.contrib.auth"):
        return None
    if identity is None:
        from django.contrib.auth.models import AnonymousUser  # noqa: PLC0415 needs the apps

        return AnonymousUser()
    user = get_user_model()._default_manager.filter(pk=identity.user_id).first()  # noqa: SLF001 Django's public name
    if user is None:
        raise unauthenticated("This user is gone.")
    return user


def _session_of(loaded: LoadedSession | None) -> Any:
    if not apps.is_installed("django.contrib.sessions"):
        return None
    session = import_module(settings.SESSION_ENGINE).SessionStore(loaded.session_key if loaded else None)
    # Read now, in this thread: a consumer reads it on the loop.
    session.get("")
    return session
