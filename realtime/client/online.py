"""The client for asyncio: one connection that reconnects by itself."""

import asyncio
import logging
import random as dice
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping
from contextlib import aclosing, suppress
from time import monotonic
from types import TracebackType
from typing import Any
from urllib.parse import quote

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, InvalidURI
from websockets.typing import Subprotocol
from websockets.uri import parse_uri

from realtime.client.credentials import Credentials, GetTicket, GetToken, TokenReason
from realtime.client.errors import ClientError, DisconnectedError, SignedOutError
from realtime.client.live_queries import changes_of
from realtime.client.requests import Requests, frame_of
from realtime.client.retries import ABNORMAL, Action, attempt_after, backoff_s, close_action, code_of_status
from realtime.client.streams import values_of
from realtime.client.subscription import BUFFER_MAX, Subscription
from realtime.client.topics import Topics
from realtime.client.types import Change, History, Presence, Rows, State, StateName, StreamValue
from realtime.core.position import Position
from realtime.protocol.close_codes import CloseCode
from realtime.protocol.handshake import BATCH_SUBPROTOCOL, SUBPROTOCOL

logger = logging.getLogger(__name__)

REQUEST_TIMEOUT_S = 10.0
WELCOME_TIMEOUT_S = 10.0
# A connection must last this long before its end counts as a first failure again.
STABLE_S = 10.0
# Requests that may wait for a connection.
QUEUE_MAX = 100
# Bytes of one message of the server: the reply to a `subscribe` has up to 512 KiB of history, and names and presence.
MESSAGE_MAX_BYTES = 4 * 1024 * 1024
# Silence before a ping, and after it until the connection counts as dead.
PING_INTERVAL_S = 20.0
PING_TIMEOUT_S = 10.0

Listener = Callable[[Any], None]


class AsyncClient:
    """One connection to a JSON endpoint. It comes back after a random wait that grows, subscribes again, and gives
    every subscription what it missed, once and in order.

        async with AsyncClient("wss://shop.example/ws/rpc/", token="…") as client:
            user = await client.request("get_user", {"user_id": 1})

    All methods are called on the event loop that started it.
    """

    def __init__(
        self,
        url: str,
        *,
        token: str | None = None,
        get_token: GetToken | None = None,
        get_ticket: GetTicket | None = None,
        headers: Mapping[str, str] | None = None,
        queue_max: int = QUEUE_MAX,
        random: Callable[[], float] = dice.random,
        **connect_options: Any,
    ) -> None:
        """`url` is that of the endpoint, `ws://…` or `wss://…`.

        `token` is an access token. `get_token` returns one, and is asked again when the last one ends or is refused;
        None stops the client. `get_ticket` returns a ticket for each connection. Both may be coroutine functions; an
        exception means "not now", and they are asked again later. `headers` go with each handshake.

        `queue_max` requests may wait for a connection (0: without one they fail at once). `connect_options` are those
        of `websockets.asyncio.client.connect`, for example `ssl` and `proxy`. Raises ValueError for another URL.
        """
        self.url = _checked(url)
        self.state = State(StateName.STOPPED)
        self._credentials = Credentials(token, get_token, get_ticket)
        self._headers = dict(headers or {})
        self._random = random
        self._options = {
            "max_size": MESSAGE_MAX_BYTES,
            "ping_interval": PING_INTERVAL_S,
            "ping_timeout": PING_TIMEOUT_S,
            "compression": None,
        } | connect_options
        self._outgoing: asyncio.Queue[str] = asyncio.Queue()
        self._requests = Requests(self._outgoing_put, queue_max)
        self._topics = Topics(self, random)
        self._listeners: dict[str, list[Listener]] = {}
        self._running: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._error: ClientError | None = None

    async def __aenter__(self) -> "AsyncClient":
        self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    def start(self) -> None:
        """Connect, and stay connected until `stop`."""
        if self._running is None:
            self._error = None
            self._running = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        """Disconnect and do not reconnect. Subscriptions end."""
        running, self._running = self._running, None
        if running is None:
            return
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
        self._finish(None)

    async def ready(self) -> None:
        """Wait until the client is online. Raises SignedOutError or DisconnectedError if it has stopped."""
        changed = asyncio.Event()
        remove = self.on("state", lambda _: changed.set())
        try:
            while self.state.name is not StateName.ONLINE:
                self._require_going()
                changed.clear()
                await changed.wait()
        finally:
            remove()

    def on(self, kind: str, listener: Listener) -> Callable[[], None]:
        """Call `listener` with the payload of each push of the type `kind`, with each `state`, or each `welcome`.
        Return a function that ends this."""
        listeners = self._listeners.setdefault(kind, [])
        listeners.append(listener)

        def remove() -> None:
            if listener in listeners:
                listeners.remove(listener)

        return remove

    async def request(
        self, verb: str, payload: Mapping[str, Any] | None = None, *, timeout_s: float = REQUEST_TIMEOUT_S
    ) -> dict[str, Any]:
        """Send a request and return the payload of its reply. Without a connection it waits for one.

        Of a paged reply (`query`) `items` has those of all pages. `timeout_s` is the time until the reply, and between
        two pages (0: no limit). Raises ClientError with the server's code, or DisconnectedError if the connection was
        lost before the reply.
        """
        self._require_going()
        return await self._requests.ask(verb, payload or {}, timeout_s)

    async def pages(
        self, verb: str, payload: Mapping[str, Any] | None = None, *, timeout_s: float = REQUEST_TIMEOUT_S
    ) -> AsyncGenerator[dict[str, Any], None]:
        """As `request`, but yield the payload of each page as it comes. Leaving early ends the request."""
        self._require_going()
        async with aclosing(self._requests.pages(verb, payload or {}, timeout_s)) as pages:
            async for page in pages:
                yield page

    def subscribe(
        self,
        topic: str,
        *,
        since: Position | None = None,
        recover: bool = True,
        presence: bool = False,
        on_presence: Callable[[Presence], None] | None = None,
        buffer_max: int = BUFFER_MAX,
    ) -> Subscription:
        """Return the publications of a topic, to iterate over; it may be subscribed to several times.

        `since` is the position of data that was read before: everything after it is given. `recover=False` is for
        topics whose history is not needed. With `presence` the function `on_presence` is called with those who follow
        the topic, at first and after each change. Up to `buffer_max` publications wait for the caller; more wait in
        the server's history.
        """
        self._require_going()
        subscription = Subscription(
            topic,
            since=since,
            recover=recover,
            presence=presence or on_presence is not None,
            buffer_max=buffer_max,
            on_presence=on_presence,
            wants_more=lambda: self._topics.follow(topic),
            close=self._topics.remove,
        )
        self._topics.add(subscription)
        return subscription

    async def publish(self, topic: str, data: Any, *, idempotency_key: str | None = None) -> Position:
        """Publish to a topic and return the position of the publication. With an `idempotency_key` it is safe to
        repeat."""
        payload = {"topic": topic, "data": data}
        if idempotency_key is not None:
            payload["idempotency_key"] = idempotency_key
        reply = await self.request("publish", payload)
        return Position(reply["epoch"], reply["offset"])

    async def history(self, topic: str, *, since: Position | None = None, limit: int = 100) -> History:
        """Return publications of a topic: those after `since`, or the newest; at most `limit`, and 512 KiB.

        Raises ClientError(unrecoverable_position) if the history does not reach back that far.
        """
        payload: dict[str, Any] = {"topic": topic, "limit": limit}
        if since is not None:
            payload["since"] = {"epoch": since.epoch, "offset": since.offset}
        return msgspec.convert(await self.request("history", payload), History)

    async def presence(self, topic: str) -> Presence:
        """Return the users who follow a topic now."""
        return msgspec.convert(await self.request("presence", {"topic": topic}), Presence)

    def stream(self, source: str, *, interval_s: float = 1.0) -> AsyncGenerator[StreamValue, None]:
        """Start a stream on `/ws/stream/` and iterate over its values. After a reconnect it is started again.

        A caller that falls behind gets the newest 100 values. Close the iterator to stop the stream, with
        `contextlib.aclosing` for example.
        """
        return values_of(self, source, interval_s)

    def live_query(
        self, query: str, params: Mapping[str, Any] | None = None, *, page_size: int | None = None
    ) -> AsyncGenerator[Rows | Change, None]:
        """Watch a query of `/ws/data/` and iterate over its events: `Rows`, then a `Change` for each row that changes.

        After a reconnect the query is asked again and `Rows` has all rows anew, also for a caller that fell 1,000
        changes behind. Raises ClientError if the server refuses the query or ends it. Close the iterator to stop
        watching, with `contextlib.aclosing` for example.
        """
        return changes_of(self, query, params or {}, page_size, self._random)

    async def ask(self, verb: str, payload: Mapping[str, Any]) -> dict[str, Any]:
        """Send a request of the client itself."""
        return await self._requests.ask(verb, payload, REQUEST_TIMEOUT_S)

    def tell(self, verb: str, payload: Mapping[str, Any]) -> None:
        """Send a message without an answer, if there is a connection."""
        if self._requests.is_open:
            self._outgoing_put(frame_of(verb, payload))

    def _outgoing_put(self, frame: str) -> None:
        self._outgoing.put_nowait(frame)

    def _require_going(self) -> None:
        if self._error is not None:
            raise self._error
        if self._running is None:
            raise DisconnectedError("The client is not started.", retryable=False)

    async def _run(self) -> None:
        failures = 0
        lost_s = monotonic()
        try:
            while True:
                began_s = monotonic()
                code, reason, was_online = await self._connect()
                now_s = monotonic()
                if was_online:
                    lost_s = now_s
                    failures = 0 if now_s - began_s > STABLE_S else failures
                action = self._action(code, reason)
                attempt = attempt_after(action, failures)
                failures = attempt + 1
                outage_s = float("inf") if action is Action.BACK_OFF else now_s - lost_s
                delay_s = backoff_s(attempt, self._random(), outage_s)
                self._set_state(State(StateName.WAITING, delay_s, code, reason))
                await asyncio.sleep(delay_s)
        except ClientError as error:
            self._finish(error)
        except Exception as error:
            # A URL that is none, or a fault of ours: nothing is gained by trying again.
            logger.exception("The client of %s has stopped", self.url)
            self._finish(DisconnectedError(f"{type(error).__name__}: {error}", retryable=False))

    def _action(self, code: int, reason: str) -> Action:
        """Return what to do after a close; raises the error with which the client stops."""
        action = close_action(code, reason)
        details = {"close_code": code, "reason": reason}
        if action is Action.STOP:
            raise DisconnectedError(reason or f"closed with {code}", retryable=False, details=details)
        if action is Action.SIGN_IN and not self._credentials.refused():
            raise SignedOutError(reason or "The credential was refused.", details=details)
        return action

    async def _connect(self) -> tuple[int, str, bool]:
        """Connect, serve, and return close code and reason, and whether it was online."""
        self._set_state(State(StateName.CONNECTING))
        try:
            token, ticket = await self._credentials.next()
        except Exception as error:
            if isinstance(error, SignedOutError):
                raise
            logger.warning("No credential for %s now: %s", self.url, error)
            return ABNORMAL, f"{type(error).__name__}: {error}", False
        if token is None and ticket is None and self._credentials.is_needed:
            raise SignedOutError
        headers = self._headers | ({"Authorization": f"Bearer {token}"} if token else {})
        query = f"{'&' if '?' in self.url else '?'}ticket={quote(ticket, safe='')}" if ticket else ""
        try:
            async with connect(
                self.url + query,
                subprotocols=[Subprotocol(BATCH_SUBPROTOCOL), Subprotocol(SUBPROTOCOL)],
                additional_headers=headers,
                **self._options,
            ) as socket:
                return await self._serve(socket)
        except InvalidStatus as refused:
            return code_of_status(refused.response.status_code), f"HTTP {refused.response.status_code}", False
        except (OSError, TimeoutError, InvalidHandshake) as error:
            return ABNORMAL, f"{type(error).__name__}: {error}", False

    async def _serve(self, socket: ClientConnection) -> tuple[int, str, bool]:
        self._outgoing = asyncio.Queue()
        was_online = False
        writing = self._spawn(_write(socket, self._outgoing))
        try:
            async with asyncio.timeout(WELCOME_TIMEOUT_S):
                await self._receive(socket)
                was_online = self.state.name is StateName.ONLINE
            while True:
                await self._receive(socket)
                was_online = was_online or self.state.name is StateName.ONLINE
        except TimeoutError:
            return ABNORMAL, "no welcome", False
        except ConnectionClosed as closed:
            if closed.rcvd is None:
                return ABNORMAL, str(closed), was_online
            return closed.rcvd.code, closed.rcvd.reason, was_online
        finally:
            writing.cancel()
            self._requests.close()
            for task in self._tasks:
                task.cancel()

    async def _receive(self, socket: ClientConnection) -> None:
        frame = await socket.recv()
        if isinstance(frame, bytes):
            return
        is_batch = socket.subprotocol == BATCH_SUBPROTOCOL
        for text in frame.split("\n") if is_batch else (frame,):
            message = msgspec.json.decode(text)
            if message.get("id") is not None:
                self._requests.settle(message)
            else:
                self._pushed(message["type"], message.get("payload", {}))

    def _pushed(self, kind: str, payload: dict[str, Any]) -> None:
        if kind == "welcome":
            self._welcomed()
        self._topics.pushed(kind, payload)
        if kind == "expiring" and self._credentials.can_refresh:
            self._spawn(self._refresh())
        self._emit(kind, payload)

    def _welcomed(self) -> None:
        self._credentials.accepted()
        self._requests.is_open = True
        self._spawn(self._topics.run())
        # After the subscriptions, which the task begins with.
        asyncio.get_running_loop().call_soon(self._requests.flush)
        self._set_state(State(StateName.ONLINE))

    async def _refresh(self) -> None:
        """Replace the token while the connection is open; repeated until it succeeds or the connection ends."""
        failures = 1
        while True:
            try:
                token = await self._credentials.fresh(TokenReason.EXPIRING)
                if token is not None:
                    await self.ask("refresh", {"token": token})
                    self._credentials.keep(token)
            except Exception as error:
                logger.warning("The token for %s could not be refreshed: %s", self.url, error)
                failures += 1
                await asyncio.sleep(backoff_s(failures, self._random()))
                continue
            return

    def _spawn(self, work: Coroutine[Any, Any, Any]) -> "asyncio.Task[Any]":
        """Run `work` until it ends or the connection does."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _finish(self, error: ClientError | None) -> None:
        self._error = error
        self._requests.close(error or DisconnectedError("The client has stopped.", retryable=False))
        self._topics.end_all(error)
        code = (error.details.get("close_code") or 0) if error is not None else int(CloseCode.NORMAL)
        self._set_state(State(StateName.STOPPED, 0.0, code, error.message if error else ""))

    def _set_state(self, state: State) -> None:
        self.state = state
        self._emit("state", state)

    def _emit(self, kind: str, value: Any) -> None:
        for listener in list(self._listeners.get(kind, ())):
            try:
                listener(value)
            except Exception:
                logger.exception("A listener of %r failed", kind)


async def _write(socket: ClientConnection, outgoing: "asyncio.Queue[str]") -> None:
    with suppress(ConnectionClosed):
        while True:
            await socket.send(await outgoing.get())


def _checked(url: str) -> str:
    try:
        parse_uri(url)
    except InvalidURI:
        wanted = "wss://shop.example/ws/pubsub/"
        raise ValueError(f"Expected the URL of an endpoint, as {wanted}, received {url!r}.") from None
    return url
