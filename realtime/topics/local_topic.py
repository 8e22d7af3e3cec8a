"""A topic with subscriptions in this process: its position, its subscribers, and its newest publications."""

import asyncio

from realtime.core.history import Tail
from realtime.core.position import Position
from realtime.core.topics import Retention, TopicKey
from realtime.sockets.subscription import Subscriber, Subscription
from realtime.topics.fanout import Fanout

# The most payload bytes of one topic that are kept in memory: as much as one reply can hold.
TAIL_MAX_BYTES = 512 * 1024


class LocalTopic:
    """Exists from the first reservation to the end of the last subscription;
    open once its position is known."""

    __slots__ = (
        "active_s",
        "compared_s",
        "epoch",
        "fanout",
        "held",
        "is_epoch_untold",
        "is_quiet",
        "is_suspect",
        "key",
        "newest",
        "opening",
        "repair",
        "retention",
        "subscriptions",
        "tail",
        "waits_at",
    )

    def __init__(self, key: TopicKey, retention: Retention, *, now_s: float, tail_max_bytes: int) -> None:
        self.key = key
        self.retention = retention
        self.epoch = ""
        # The subscription of each connection, JOINING or LIVE; the LIVE ones are also in `fanout`.
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
        # The highest known offset of this epoch, delivered or not.
        self.newest = 0
        # Publications that arrived before an earlier one, by offset; and the offset after which one is waited for.
        self.held: dict[int, bytes] | None = None
        self.waits_at: int | None = None
        # Something arrived that does not fit the known position, so the history must be read.
        self.is_suspect = False
        # The epoch has changed without a loss; the next push names it.
        self.is_epoch_untold = False
        # When something was last published to it, when it was last compared with its history, and whether that is seldom.
        self.active_s = self.compared_s = now_s
        self.is_quiet = False

    @property
    def is_open(self) -> bool:
        """Whether the topic's position is known."""
        return bool(self.epoch)

    @property
    def offset(self) -> int:
        """The offset of the last publication given to the subscribers."""
        return self.tail.offset

    @property
    def position(self) -> Position:
        """The position that the subscribers have reached."""
        return Position(self.epoch, self.tail.offset)

    def begin(self, position: Position) -> None:
        """Start at `position`: when the topic is opened, and again if the history was lost."""
        self.epoch = position.epoch
        self.tail.clear()
        self.tail.offset = self.newest = position.offset
        self.is_suspect = self.is_epoch_untold = False
        # Undelivered publications belong to the position before.
        self.fanout = Fanout()

    def go_on_in(self, position: Position) -> None:
        """Take the epoch of `position`, which holds all that the subscribers have: the history began it anew,
        and nothing was lost."""
        self.epoch = position.epoch
        # Newer offsets that were known under the former epoch may be lost.
        self.newest = position.offset
        self.is_epoch_untold = True
