"""The bus over a broker: each bus group is a channel (sharded pub/sub, which single servers have too)."""

from collections.abc import Callable, Sequence

from realtime.topics.engine.broker import Broker
from realtime.topics.engine.ports import BusUnavailableError, EngineUnavailableError, OnMessage
from realtime.topics.engine.subscriber import Subscriber

# A message begins with the id of its sender; this one is nobody's, so that the sender takes it in too.
TO_ALL = bytes(8)


class BrokerBus:
    """Implements `Bus`. The broker is closed by its owner."""

    def __init__(self, broker: Broker, on_gap: Callable[[Sequence[str]], None] | None = None) -> None:
        self.on_gap = on_gap
        self._broker = broker
        self._on_message: OnMessage | None = None
        self._subscriber: Subscriber | None = None

    @property
    def is_open(self) -> bool:
        """As `Bus.is_open`."""
        return self._subscriber is not None and self._subscriber.is_open

    async def start(self, on_message: OnMessage) -> None:
        """As `Bus.start`. Succeeds without a broker: the bus opens when the broker can be reached."""
        self._on_message = on_message
        self._subscriber = Subscriber(self._broker, self._take, self._tell_gap)
        await self._subscriber.start()

    async def stop(self) -> None:
        """As `Bus.stop`."""
        subscriber, self._subscriber = self._subscriber, None
        if subscriber is not None:
            await subscriber.stop()

    async def join(self, group: str) -> None:
        """As `Bus.join`."""
        if self._subscriber is not None:
            await self._subscriber.join(group)

    async def leave(self, group: str) -> None:
        """As `Bus.leave`."""
        if self._subscriber is not None:
            self._subscriber.leave(group)

    async def send(self, group: str, body: bytes, *, to_self: bool = False) -> None:
        """As `Bus.send`."""
        partition, channel = self._broker.names.channel(group)
        message = (TO_ALL if to_self else self._broker.id) + body
        try:
            # A message that arrives twice does no harm: each is numbered, or says how things are.
            await self._broker.call(partition, "SPUBLISH", channel, message, is_repeatable=True)
        except EngineUnavailableError as error:
            raise BusUnavailableError("The broker cannot be reached to publish.") from error

    def _take(self, group: str, message: bytes) -> None:
        if message[:8] != self._broker.id and self._on_message is not None:
            self._on_message(group, message[8:])

    def _tell_gap(self, groups: Sequence[str]) -> None:
        if self.on_gap is not None:
            self.on_gap(groups)
