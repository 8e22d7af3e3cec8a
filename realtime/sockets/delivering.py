"""What both outboxes share: counters, bounds, and the fields that are read for each delivery."""

from collections.abc import Callable
from typing import NamedTuple

from realtime.sockets.backlogs import Backlogs
from realtime.sockets.metrics import RouteMetrics
from realtime.sockets.prepared import EncodedForm, PreparedBatch, PreparedMessage
from realtime.sockets.transport import FrameWriter

# While more bytes than this wait for a client, its connection takes no further request from it.
LOW_WATER_BYTES = 64 * 1024


def nobody() -> None:
    """Replaces the callbacks after the end, so that a connection and its outbox do not keep
    each other alive."""


class Bounds(NamedTuple):
    """How much an outbox may hold, and what to call if it holds too much: alone, or
    together with all others."""

    limit_bytes: int
    overflowed: Callable[[], None]
    cut: Callable[[], None]
    backlogs: Backlogs


class Delivering:
    """The base of every outbox: the fields that are read for each delivery."""

    __slots__ = (
        "_backlogs",
        "_cut",
        "_limit_bytes",
        "_overflowed",
        "direct",
        "dropped",
        "form",
        "messages_out",
        "metrics",
        "pending_bytes",
    )

    def __init__(
        self, direct: FrameWriter | None, form: EncodedForm, metrics: RouteMetrics, bounds: Bounds
    ) -> None:
        self.direct = direct
        self.form = form
        self.metrics = metrics
        self._limit_bytes, self._overflowed, self._cut, self._backlogs = bounds
        self.messages_out = 0
        self.dropped = 0
        self.pending_bytes = 0

    def cut(self) -> None:
        """As `Holder.cut`."""
        self._cut()

    def _overflows(self, held_bytes: int, item: PreparedMessage | PreparedBatch) -> bool:
        """Whether `item` exceeds the limit in addition to `held_bytes`; it is then dropped
        and the connection is told."""
        if not (
            self._limit_bytes and self.pending_bytes and held_bytes + item.size_bytes > self._limit_bytes
        ):
            return False
        self.dropped += item.count
        self._overflowed()
        return True

    def _count(self, item: PreparedMessage | PreparedBatch) -> None:
        self.messages_out += item.count
        count_on(self.metrics, item, 1)


def count_on(metrics: RouteMetrics | None, item: PreparedMessage | PreparedBatch, deliveries: int) -> None:
    """Count `deliveries` deliveries of an item in the figures of a route."""
    if metrics is not None:
        metrics.messages_out += item.count * deliveries
        metrics.bytes_out += item.size_bytes * deliveries
