"""The bus over a Channels layer: this process is one channel of the layer, and
each bus group is one of its groups.

Made for `channels_redis.pubsub`, which reconnects by itself after an outage and does not report it. So this
bus listens for its own heartbeat: a missing beat means a gap, and silence means
that the layer must be opened again.
"""

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable, Mapping
from math import inf
from time import monotonic
from typing import Any, Protocol
from weakref import WeakValueDictionary

from realtime.topics.engine.ports import BusUnavailableError, OnMessage

try:
    from redis.exceptions import RedisError
except ImportError:
    # Without the extra `redis` the layer is another one, which has errors of its own.
    RedisError = OSError  # type: ignore[assignment,misc]

DEADLINE_S = 2.0
BEAT_S = 2.0
# After this many missing beats the layer's receiver is considered dead, or the broker unreachable.
SILENT_BEATS = 3
RETRY_MIN_S = 0.1
RETRY_MAX_S = 5.0
# As the last beat heard, it makes any next beat count as one after a gap.
NO_BEAT = -1
# A subscription is in force when our own probe comes back through it. Seconds between two probes.
PROBE_AGAIN_S = 0.1

MESSAGE = "realtime.bus"
PROBE = "realtime.probe"
BEAT = "realtime.beat"

# What a layer raises while its broker is unreachable (TimeoutError is an
# OSError) or its channel is being reopened. AttributeError: redis-py writes to a connection that another task has just
# closed ("'NoneType' object has no attribute 'writelines'").
LAYER_ERRORS = (RedisError, OSError, RuntimeError, AttributeError)

logger = logging.getLogger(__name__)


class ChannelLayer(Protocol):
    """The methods of a Channels layer that are used here."""

    async def new_channel(self) -> str:
        """Make a channel for this process."""
        ...

    async def receive(self, channel: str) -> Mapping[str, Any]:
        """Wait for the next message of a channel."""
        ...

    async def send(self, channel: str, message: Mapping[str, Any]) -> None:
        """Send to one channel."""
        ...

    async def group_add(self, group: str, channel: str) -> None:
        """Add a channel to a group."""
        ...

    async def group_discard(self, group: str, channel: str) -> None:
        """Remove a channel from a group."""
        ...

    async def group_send(self, group: str, message: Mapping[str, Any]) -> None:
        """Send to every channel of a group."""
        ...

    async def flush(self) -> None:
        """Forget channels and groups, and close connections."""
        ...


class LayerBus:
    """Implements `Bus`. `on_gap` is called on the loop when messages may have
    been lost and new ones arrive again.

    The layer must not be shared: the bus flushes it after silence and when it stops. `deadline_s` bounds each
    call to the layer, in seconds; `beat_s` is the time between heartbeats, in seconds.

    `locate` names the server that the layer must use. It is asked with each beat: after a failover the layer
    may still be connected to the former server, which no other node uses any more.
    """

    def __init__(
        self,
        layer: ChannelLayer,
        *,
        on_gap: Callable[[], None] | None = None,
        deadline_s: float = DEADLINE_S,
        beat_s: float = BEAT_S,
        locate: Callable[[], Awaitable[object]] | None = None,
    ) -> None:
        self._layer = layer
        self.on_gap = on_gap
        self._deadline_s = deadline_s
        self._beat_s = beat_s
        # The layer also returns a message to its sender, so each message names the bus that must ignore it.
        self._id = secrets.token_bytes(8)
        self._on_message: OnMessage | None = None
        self._channel = ""
        self._is_open = asyncio.Event()
        self._groups: set[str] = set()
        # The groups of `_groups` whose subscription has not been proven yet; it
        # is tried again with each beat.
        self._unheard: set[str] = set()
        # Joins and leaves of one group run one after the other, in the order of the calls.
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._probes: dict[bytes, asyncio.Event] = {}
        self._beats_sent = 0
        self._last_beat_heard = 0
        self._receiver: asyncio.Task[None] | None = None
        self._beats: asyncio.Task[None] | None = None
        self._locate = locate
        self._place: object = None
        self._located_s = -inf

    @property
    def is_open(self) -> bool:
        """True if the broker is reached."""
        return self._is_open.is_set()

    async def start(self, on_message: OnMessage) -> None:
        """As `Bus.start`. Succeeds without a broker: the bus opens when the broker can be reached."""
        self._on_message = on_message
        self._receiver, self._beats = asyncio.create_task(self._run()), asyncio.create_task(self._beat())
        try:
            async with asyncio.timeout(self._deadline_s):
                await self._is_open.wait()
        except TimeoutError:
            logger.warning("The bus cannot reach the broker yet; it keeps trying.")

    async def stop(self) -> None:
        """As `Bus.stop`."""
        await self._end(self._beats)
        await self._end(self._receiver)
        self._receiver = self._beats = None
        self._groups.clear()
        self._unheard.clear()
        self._is_open.clear()
        self._on_message = None
        await self._flush()

    async def join(self, group: str) -> None:
        """As `Bus.join`."""
        async with self._turn(group):
            if group in self._groups:
                return
            self._groups.add(group)
            self._unheard.add(group)
            if self._is_open.is_set():
                await self._subscribe(group)

    async def leave(self, group: str) -> None:
        """As `Bus.leave`; never fails. Messages that still arrive for the group are ignored."""
        async with self._turn(group):
            if group not in self._groups:
                return
            self._groups.discard(group)
            self._unheard.discard(group)
            try:
                async with asyncio.timeout(self._deadline_s):
                    await self._layer.group_discard(group, self._channel)
            except LAYER_ERRORS as error:
                logger.debug("The layer keeps a subscription for now: %s", error)

    async def send(self, group: str, body: bytes, *, to_self: bool = False) -> None:
        """As `Bus.send`."""
        message = {"type": MESSAGE, "group": group, "body": body, "not_to": b"" if to_self else self._id}
        try:
            async with asyncio.timeout(self._deadline_s):
                if self._receiver is None:
                    # Checked here, because without `start` there are no beats that would do so.
                    await self._follow()
                await self._send(group, message)
        except LAYER_ERRORS as error:
            raise BusUnavailableError("The broker cannot be reached to publish.") from error

    async def _send(self, group: str, message: Mapping[str, Any]) -> None:
        try:
            await self._layer.group_send(group, message)
        except LAYER_ERRORS:
            # The server had closed an idle connection: the second call opens another. Messages between nodes
            # are numbered or may arrive twice.
            await self._layer.group_send(group, message)

    def _turn(self, group: str) -> asyncio.Lock:
        # Held across awaits on purpose. It exists while somebody holds it or waits for it.
        lock = self._turns.get(group)
        if lock is None:
            lock = self._turns[group] = asyncio.Lock()
        return lock

    async def _subscribe(self, group: str) -> bool:
        try:
            async with asyncio.timeout(self._deadline_s):
                await self._layer.group_add(group, self._channel)
                await self._hear(group)
        except LAYER_ERRORS as error:
            logger.debug("A group of the bus is not subscribed yet: %s", error)
            return False
        self._unheard.discard(group)
        return True

    async def _hear(self, group: str) -> None:
        token = secrets.token_bytes(8)
        heard = self._probes[token] = asyncio.Event()
        try:
            while not heard.is_set():
                await self._layer.group_send(group, {"type": PROBE, "body": token})
                await _wait(heard, PROBE_AGAIN_S)
        finally:
            del self._probes[token]

    async def _run(self) -> None:
        retry_s = RETRY_MIN_S
        while True:
            try:
                await self._open()
                retry_s = RETRY_MIN_S
                await self._take_all()
            except Exception as error:
                logger.warning("The bus lost its layer and opens it anew: %r", error)
            self._is_open.clear()
            await asyncio.sleep(retry_s)
            retry_s = min(retry_s * 2, RETRY_MAX_S)
            await self._flush()

    async def _open(self) -> None:
        async with asyncio.timeout(self._deadline_s):
            self._channel = await self._layer.new_channel()
        for group in sorted(self._groups):
            async with asyncio.timeout(self._deadline_s):
                await self._layer.group_add(group, self._channel)
        self._is_open.set()

    async def _take_all(self) -> None:
        while True:
            async with asyncio.timeout(self._beat_s * SILENT_BEATS):
                message = await self._layer.receive(self._channel)
            try:
                self._take(message)
            except Exception:
                logger.exception("A message of the bus could not be handled.")

    def _take(self, message: Mapping[str, Any]) -> None:
        match message:
            case {"type": "realtime.bus", "group": str(group), "body": bytes(body)}:
                is_own = message.get("not_to") == self._id
                if not is_own and group in self._groups and self._on_message is not None:
                    self._on_message(group, body)
            case {"type": "realtime.probe", "body": bytes(token)}:
                if token in self._probes:
                    self._probes[token].set()
            case {"type": "realtime.beat", "seq": int(seq)}:
                self._take_beat(seq)
            case _:
                logger.warning("The bus ignores a message that is not one of its own.")

    def _take_beat(self, seq: int) -> None:
        is_gap = seq != self._last_beat_heard + 1
        self._last_beat_heard = seq
        if is_gap:
            self._tell_gap()

    def _tell_gap(self) -> None:
        if self.on_gap is not None:
            self.on_gap()

    async def _follow(self) -> None:
        """Open the layer anew if its server has changed."""
        now_s = monotonic()
        if self._locate is None or now_s - self._located_s < self._beat_s:
            return
        self._located_s = now_s
        try:
            async with asyncio.timeout(self._deadline_s):
                place = await self._locate()
        except LAYER_ERRORS as error:
            logger.debug("Nobody knows where the broker is: %s", error)
            return
        before, self._place = self._place, place
        if before is not None and before != place:
            logger.warning("The broker is another server now; the bus opens its layer anew")
            await self._reopen()

    async def _reopen(self) -> None:
        is_started = self._receiver is not None
        await self._end(self._receiver)
        self._is_open.clear()
        await self._flush()
        if is_started:
            # Messages sent meanwhile are lost: the next beat counts as a gap.
            self._last_beat_heard = NO_BEAT
            self._receiver = asyncio.create_task(self._run())

    async def _end(self, task: asyncio.Task[None] | None) -> None:
        if task is not None:
            task.cancel()
            await asyncio.wait([task], timeout=self._deadline_s)

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(self._beat_s)
            # A beat that cannot be sent is counted too: when it is missing, the gap is noticed.
            self._beats_sent += 1
            try:
                await self._follow()
                async with asyncio.timeout(self._deadline_s):
                    await self._is_open.wait()
                    await self._layer.send(self._channel, {"type": BEAT, "seq": self._beats_sent})
                await self._subscribe_unheard()
            except LAYER_ERRORS as error:
                logger.debug("A heartbeat of the bus could not be sent: %r", error)
            except Exception:
                # Whatever it is, without beats no gap would be noticed any more.
                logger.exception("A heartbeat of the bus failed")

    async def _subscribe_unheard(self) -> None:
        for group in sorted(self._unheard):
            async with self._turn(group):
                if group in self._unheard and await self._subscribe(group):
                    self._tell_gap()

    async def _flush(self) -> None:
        try:
            async with asyncio.timeout(self._deadline_s):
                await self._layer.flush()
        except LAYER_ERRORS as error:
            logger.debug("The layer could not close its connections: %s", error)


async def _wait(event: asyncio.Event, timeout_s: float) -> None:
    try:
        async with asyncio.timeout(timeout_s):
            await event.wait()
    except TimeoutError:
        return
