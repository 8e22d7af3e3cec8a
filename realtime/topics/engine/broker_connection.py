"""A connection to one server of a broker. Calls are answered in the order in which they were made.

Calls made in one turn of the event loop go out in one write, so that they are one pipeline. Replies are read by
`hiredis`. The protocol is RESP3: messages of channels come as pushes, between the replies, so that a connection with
subscriptions can still ask whether its server lives and is a primary.
"""

import asyncio
import ssl
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, cast

import hiredis
from redis.asyncio.connection import parse_url

from realtime.core.broker_url import BrokerAddress, BrokerKind
from realtime.topics.engine.ports import EngineUnavailableError

# Host and port; a path and 0 for a server on this machine that listens at a Unix socket.
Place = tuple[str, int]
# A call is failed if the server has answered nothing for a deadline, which is looked at so often.
WATCHES_PER_DEADLINE = 8
# Calls of one connection that wait for their replies.
WAITING_MAX = 10_000
# Bytes that wait to be written; above it, calls wait first.
UNWRITTEN_MAX_BYTES = 16 * 1024 * 1024
_NOTHING = object()


class NotSentError(EngineUnavailableError):
    """The command did not reach the server: it was certainly not carried out."""


class ConnectionLostError(EngineUnavailableError):
    """The connection ended before the reply came: the command may have been carried out."""


class ReplyError(EngineUnavailableError):
    """The server answered with an error; `code` is its first word."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.code = text.partition(" ")[0]


@dataclass(frozen=True, slots=True)
class ConnectionOptions:
    """The options that all connections to the servers of a broker share."""

    hello: tuple[str, ...]
    database: int
    tls: ssl.SSLContext | None
    is_primary_asked: bool


class _Waiting:
    """A command that was sent. `channels` are those whose confirmation is its reply."""

    __slots__ = ("channels", "future", "on_confirmed")

    def __init__(
        self,
        future: "asyncio.Future[Any]",
        channels: set[bytes] | None = None,
        on_confirmed: Callable[[bytes], None] | None = None,
    ) -> None:
        self.future = future
        self.channels = channels
        self.on_confirmed = on_confirmed


class BrokerConnection(asyncio.Protocol):
    """Made by `connect`. `on_push` is called with each message of a channel, and with each subscription
    that the server ended by itself. `on_lost` is called once, when the connection has ended.

    If the server answers none of the calls for `deadline_s` seconds, the connection is given up. The time is counted in
    steps, so that an event loop that was held up is not taken for a dead server.
    """

    def __init__(self, deadline_s: float, on_push: Callable[[list[Any]], None] | None = None) -> None:
        self.on_lost: Callable[[], None] | None = None
        self._on_push = on_push
        self._loop = asyncio.get_running_loop()
        self._watch_s = deadline_s / WATCHES_PER_DEADLINE
        self._reader = hiredis.Reader(notEnoughData=_NOTHING)
        self._transport: asyncio.Transport | None = None
        self._waiting: deque[_Waiting] = deque()
        # Packed commands that go out at the end of this turn of the loop: the last ones of `_waiting`.
        self._unsent: list[bytes] = []
        self._watch: asyncio.TimerHandle | None = None
        self._watched: _Waiting | None = None
        self._watches = 0
        self._writable: asyncio.Event | None = None
        self._ended = self._loop.create_future()

    @property
    def is_open(self) -> bool:
        """Whether calls can be made."""
        return self._transport is not None

    # Calls

    def call(self, *command: str | bytes | int) -> "asyncio.Future[Any]":
        """Send a command; the future has the reply, or raises ReplyError, NotSentError or ConnectionLostError."""
        return self._send(command, _Waiting(self._loop.create_future()))

    def confirmed(
        self, command: bytes, channels: Sequence[bytes], on_confirmed: Callable[[bytes], None]
    ) -> "asyncio.Future[Any]":
        """Send a command about channels. `on_confirmed` is called with each channel when the server confirms it."""
        waiting = _Waiting(self._loop.create_future(), set(channels), on_confirmed)
        return self._send((command, *channels), waiting)

    async def writable(self) -> None:
        """Wait until what was written before has mostly gone out."""
        if self._writable is not None:
            await self._writable.wait()

    def close(self) -> None:
        """End the connection now; calls that wait fail."""
        if self._transport is not None:
            self._transport.abort()
            self._end()

    async def closed(self) -> None:
        """Wait until the socket is closed."""
        await asyncio.shield(self._ended)

    def _send(self, command: Sequence[str | bytes | int], waiting: _Waiting) -> "asyncio.Future[Any]":
        if self._transport is None or len(self._waiting) >= WAITING_MAX:
            reason = "closed" if self._transport is None else "waiting for too many replies"
            waiting.future.set_exception(NotSentError(f"The connection to the broker is {reason}."))
            return waiting.future
        if not self._unsent:
            self._loop.call_soon(self._flush)
        self._unsent.append(hiredis.pack_command(tuple(command)))  # type: ignore[arg-type] # its stub allows one word only
        self._waiting.append(waiting)
        if self._watch is None:
            self._watch = self._loop.call_later(self._watch_s, self._look)
        return waiting.future

    def _flush(self) -> None:
        unsent, self._unsent = self._unsent, []
        if unsent and self._transport is not None:
            self._transport.write(unsent[0] if len(unsent) == 1 else b"".join(unsent))

    def _look(self) -> None:
        """End the connection if the same call has been the next to be answered all the time."""
        self._watch = None
        if not self._waiting:
            self._watched = None
            return
        head = self._waiting[0]
        self._watches = self._watches + 1 if head is self._watched else 0
        self._watched = head
        if self._watches >= WATCHES_PER_DEADLINE:
            self.close()
            return
        self._watch = self._loop.call_later(self._watch_s, self._look)

    # Called by asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """As `asyncio.BaseProtocol.connection_made`."""
        # uvloop's transports are no subclasses of asyncio's.
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=UNWRITTEN_MAX_BYTES)

    def data_received(self, data: bytes) -> None:
        """As `asyncio.Protocol.data_received`."""
        reader = self._reader
        try:
            reader.feed(data)
            while (reply := reader.gets()) is not _NOTHING:
                if type(reply) is hiredis.PushNotification:
                    self._take_push(reply)
                else:
                    self._take(reply)
        except (hiredis.ProtocolError, IndexError):
            # Neither Redis nor Valkey; or a reply to nothing.
            self.close()

    def pause_writing(self) -> None:
        """As `asyncio.BaseProtocol.pause_writing`."""
        self._writable = asyncio.Event()

    def resume_writing(self) -> None:
        """As `asyncio.BaseProtocol.resume_writing`."""
        if self._writable is not None:
            self._writable.set()
            self._writable = None

    def connection_lost(self, exc: Exception | None) -> None:
        """As `asyncio.BaseProtocol.connection_lost`."""
        self._end()
        if not self._ended.done():
            self._ended.set_result(None)

    def _take(self, reply: Any) -> None:
        waiting = self._waiting.popleft()
        is_error = isinstance(reply, hiredis.ReplyError)
        if waiting.channels is not None and not is_error:
            raise IndexError("a reply where a confirmation was expected")
        if waiting.future.done():
            # The caller was cancelled.
            return
        if is_error:
            waiting.future.set_exception(ReplyError(str(reply)))
        else:
            waiting.future.set_result(reply)

    def _take_push(self, push: list[Any]) -> None:
        kind = push[0]
        if kind == b"ssubscribe" or (kind == b"sunsubscribe" and self._is_awaited(push[1])):
            self._confirm(push[1])
        elif self._on_push is not None:
            self._on_push(push)

    def _is_awaited(self, channel: bytes) -> bool:
        """False: the server has ended the subscription by itself."""
        channels = self._waiting[0].channels if self._waiting else None
        return channels is not None and channel in channels

    def _confirm(self, channel: bytes) -> None:
        waiting = self._waiting[0]
        assert waiting.channels is not None
        assert waiting.on_confirmed is not None
        waiting.channels.discard(channel)
        if not waiting.channels:
            self._waiting.popleft()
            if not waiting.future.done():
                waiting.future.set_result(None)
        waiting.on_confirmed(channel)

    def _end(self) -> None:
        if self._transport is None:
            return
        self._transport = None
        if self._watch is not None:
            self._watch.cancel()
        self.resume_writing()
        waiting, self._waiting = self._waiting, deque()
        sent = len(waiting) - len(self._unsent)
        self._unsent = []
        for each in islice(waiting, sent):
            _fail(
                each,
                ConnectionLostError(
                    "The connection to the broker was lost; the call may have been carried out."
                ),
            )
        for each in islice(waiting, sent, None):
            _fail(each, NotSentError("The connection to the broker was lost."))
        if self.on_lost is not None:
            self.on_lost()


def _fail(waiting: _Waiting, error: Exception) -> None:
    if not waiting.future.done():
        waiting.future.set_exception(error)


async def connect(
    place: Place,
    options: ConnectionOptions,
    *,
    deadline_s: float,
    on_push: Callable[[list[Any]], None] | None = None,
) -> BrokerConnection:
    """Return a connection that is ready for calls.

    Raises NotSentError if there is none within `deadline_s` seconds, or the server is a replica and must be a primary;
    ReplyError if the server refuses user, password or database.
    """
    connection: BrokerConnection | None = None
    try:
        async with asyncio.timeout(deadline_s):
            connection = await _open(place, options, deadline_s, on_push)
            await _greet(connection, options)
    except BaseException as error:
        if connection is not None:
            connection.close()
        if isinstance(error, OSError | ConnectionLostError):
            # TimeoutError and the errors of TLS are OSErrors.
            why = str(error).rstrip(".") or type(error).__name__
            raise NotSentError(f"The broker cannot be reached: {why}.") from error
        raise
    return connection


async def _open(
    place: Place,
    options: ConnectionOptions,
    deadline_s: float,
    on_push: Callable[[list[Any]], None] | None,
) -> BrokerConnection:
    loop = asyncio.get_running_loop()
    host, port = place

    def protocol() -> BrokerConnection:
        return BrokerConnection(deadline_s, on_push)

    if not port:
        _, connection = await loop.create_unix_connection(protocol, host)
    else:
        _, connection = await loop.create_connection(protocol, host, port, ssl=options.tls)
    return connection


async def _greet(connection: BrokerConnection, options: ConnectionOptions) -> None:
    calls = [connection.call(*options.hello)]
    if options.database:
        calls.append(connection.call("SELECT", options.database))
    if options.is_primary_asked:
        calls.append(connection.call("INFO", "replication"))
    answers = await asyncio.gather(*calls, return_exceptions=True)
    for answer in answers:
        if isinstance(answer, BaseException):
            raise answer
    if options.is_primary_asked and not is_primary(answers[-1]):
        raise NotSentError("The broker's server is a replica.")


def is_primary(replication: Any) -> bool:
    """Return whether this INFO of a server says that it is a primary."""
    text = replication if isinstance(replication, bytes) else str(replication).encode()
    return b"role:master" in text


def connection_options(address: BrokerAddress) -> ConnectionOptions:
    """Return the options of all connections to the data servers of a broker."""
    given = dict(address.options)
    if address.kind is BrokerKind.SINGLE:
        given |= parse_url(address.url)
    hello = ["HELLO", "3"]
    if password := given.get("password"):
        hello += ["AUTH", given.get("username") or "default", password]
    if name := given.get("client_name"):
        hello += ["SETNAME", name]
    return ConnectionOptions(
        hello=tuple(hello),
        database=int(given.get("db") or 0),
        tls=_tls(given) if address.is_tls else None,
        # The servers behind a single address are the operator's, and a cluster refuses by itself.
        is_primary_asked=address.kind is BrokerKind.SENTINEL,
    )


def place_of(address: BrokerAddress) -> Place:
    """Return where the only server of a broker is."""
    if address.nodes:
        return address.nodes[0]
    return parse_url(address.url)["path"], 0


def _tls(given: Mapping[str, Any]) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if given.get("ssl_ca_certs") or given.get("ssl_ca_path"):
        context.load_verify_locations(given.get("ssl_ca_certs"), given.get("ssl_ca_path"))
    requirement = {"none": ssl.CERT_NONE, "optional": ssl.CERT_OPTIONAL}.get(
        str(given.get("ssl_cert_reqs", "required")), ssl.CERT_REQUIRED
    )
    context.check_hostname = bool(given.get("ssl_check_hostname", True)) and requirement != ssl.CERT_NONE
    context.verify_mode = requirement
    if certificate := given.get("ssl_certfile"):
        context.load_cert_chain(certificate, given.get("ssl_keyfile"))
    return context
