"""The bus over a Channels layer: this process is one channel in it, and a bus group is a group of it.

Made for `channels_redis.pubsub`, whose connection comes back by itself after an outage and tells nobody.
So this bus listens for its own heartbeat: a missing beat is a gap, silence is a layer to open anew.
"""

import asyncio
import logging
import secrets
from collections.abc import Callable, Mapping
from typing import Any, Protocol
from weakref import WeakValueDictionary

from redis.exceptions import RedisError

from realtime.topics.engine.ports import BusUnavailableError, Receiver

DEADLINE_S = 2.0
BEAT_S = 2.0
# Silence for this many beats: the layer's receiver is dead, or the broker is away.
SILENT_BEATS = 3
RETRY_MIN_S = 0.1
RETRY_MAX_S = 5.0
# A subscription is in force when our own probe comes back through it.
PROBE_AGAIN_S = 0.1

MESSAGE = "realtime.bus"
PROBE = "realtime.probe"
BEAT = "realtime.beat"

# What a layer raises while its broker is away (TimeoutError is an OSError) or its channel is opened anew.
LAYER_ERRORS = (RedisError, OSError, RuntimeError)

logger = logging.getLogger(__name__)


class ChannelLayer(Protocol):
    """The part of a Channels layer that is used here."""

    async def new_channel(self) -> str:
        """A channel of this process."""
        ...

    async def receive(self, channel: str) -> Mapping[str, Any]:
        """The next message of a channel."""
        ...

    async def send(self, channel: str, message: Mapping[str, Any]) -> None:
        """To one channel."""
        ...

    async def group_add(self, group: str, channel: str) -> None:
        """Add a channel to a group."""
        ...

    async def group_discard(self, group: str, channel: str) -> None:
        """Take a channel from a group."""
        ...

    async def group_send(self, group: str, message: Mapping[str, Any]) -> None:
        """To every channel of a group."""
        ...

    async def flush(self) -> None:
        """Forget channels and groups, close connections."""
        ...


class LayerBus:
    """As `Bus`. `on_gap` is called on the loop when messages may have been missed and new ones arrive again.

    The layer must be this bus' own: it is flushed when silent and when the bus stops. `deadline_s` bounds
    each call to the layer, in seconds; `beat_s` is the seconds between heartbeats.
    """

    def __init__(
        self,
        layer: ChannelLayer,
        *,
        on_gap: Callable[[], None] | None = None,
        deadline_s: float = DEADLINE_S,
        beat_s: float = BEAT_S,
    ) -> None:
        self._layer = layer
        self.on_gap = on_gap
        self._deadline_s = deadline_s
        self._beat_s = beat_s
        # Each message says which bus it is not for; the layer carries it to its sender too.
        self._id = secrets.token_bytes(8)
        self._receive: Receiver | None = None
        self._channel = ""
        self._is_open = asyncio.Event()
        self._groups: set[str] = set()
        # Groups of those above whose subscription has not been proven; each beat tries again.
        self._unheard: set[str] = set()
        # Joining and leaving one group happen one after the other, in the order they were asked for.
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._probes: dict[bytes, asyncio.Event] = {}
        self._beats_sent = 0
        self._last_beat_heard = 0
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self, receive: Receiver) -> None:
        """As `Bus.start`. A broker that is away does not fail it: the bus opens when the broker is there."""
        self._receive = receive
        self._tasks = [asyncio.create_task(self._run()), asyncio.create_task(self._beat())]
        try:
            async with asyncio.timeout(self._deadline_s):
                await self._is_open.wait()
        except TimeoutError:
            logger.warning("The bus has no broker yet; it goes on trying.")

    async def stop(self) -> None:
        """As `Bus.stop`."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=self._deadline_s)
        self._tasks = []
        self._groups.clear()
        self._unheard.clear()
        self._is_open.clear()
        self._receive = None
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
        """As `Bus.leave`; never fails: what still arrives for the group is ignored."""
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
                await self._layer.group_send(group, message)
        except LAYER_ERRORS as error:
            raise BusUnavailableError("The broker cannot be reached to publish.") from error

    def _turn(self, group: str) -> asyncio.Lock:
        # Held across awaits on purpose; it lives as long as somebody holds it or waits for it.
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
            logger.debug("A group of the bus is not heard yet: %s", error)
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
                if not is_own and group in self._groups and self._receive is not None:
                    self._receive(group, body)
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

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(self._beat_s)
            # A beat that cannot be sent counts too: its absence tells that there was a gap.
            self._beats_sent += 1
            try:
                async with asyncio.timeout(self._deadline_s):
                    await self._is_open.wait()
                    await self._layer.send(self._channel, {"type": BEAT, "seq": self._beats_sent})
                await self._subscribe_unheard()
            except Exception as error:
                logger.debug("A heartbeat of the bus could not be sent: %r", error)

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
