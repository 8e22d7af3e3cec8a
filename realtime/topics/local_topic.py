"""A topic with subscriptions in this process: where it is, who follows it, and its newest publications."""

import asyncio

from realtime.core.history import Position
from realtime.core.tail import Tail
from realtime.core.topics import TopicKey
from realtime.sockets.subscription import Subscriber, Subscription
from realtime.topics.engine.ports import Retention
from realtime.topics.fanout import Fanout

# Of one topic's payloads in memory: as much as a reply can hold.
TAIL_MAX_BYTES = 512 * 1024


class LocalTopic:
    """Exists from the first reservation to the end of the last subscription. It is open once its position is known."""

    __slots__ = (
        "active_s",
        "compared_s",
        "epoch",
        "fanout",
        "is_suspect",
        "key",
        "newest",
        "opening",
        "repair",
        "retention",
        "subscriptions",
        "tail",
    )

    def __init__(self, key: TopicKey, retention: Retention, *, now_s: float, tail_max_bytes: int) -> None:
        self.key = key
        self.retention = retention
        self.epoch = ""
        # Each connection's one, JOINING or LIVE; the LIVE ones are in `fanout` too.
        self.subscriptions: dict[Subscriber, Subscription] = {}
        self.fanout = Fanout()
        self.tail = Tail(
            0,
            max_count=retention.size,
            max_bytes=min(TAIL_MAX_BYTES, tail_max_bytes) if tail_max_bytes else TAIL_MAX_BYTES,
            ttl_s=retention.ttl_s,
        )
        self.opening: asyncio.Task[None] | None = None
        self.repair: asyncio.Task[None] | None = None
        # The furthest offset of this epoch that was heard of, delivered or not.
        self.newest = 0
        # Something was heard that cannot be placed: look at the history.
        self.is_suspect = False
        self.active_s = self.compared_s = now_s

    @property
    def is_open(self) -> bool:
        """Whether its position is known."""
        return bool(self.epoch)

    @property
    def offset(self) -> int:
        """The last one its subscribers were given."""
        return self.tail.offset

    @property
    def position(self) -> Position:
        """Where its subscribers are."""
        return Position(self.epoch, self.tail.offset)

    def begin(self, position: Position) -> None:
        """Start at `position`: at its opening, and where the history was lost."""
        self.epoch = position.epoch
        self.tail.clear()
        self.tail.offset = self.newest = position.offset
        self.is_suspect = False
        # What was still to be delivered belongs to what was before.
        self.fanout = Fanout()
