"""The newest publications of a topic, encoded and without gaps, so that a subscriber can
catch up without a read.

Times are monotonic seconds and are passed in by the caller.
"""

from collections import deque
from collections.abc import Sequence
from itertools import islice
from typing import NamedTuple


class Kept(NamedTuple):
    """A publication's payload as JSON, and the time it was added."""

    payload: bytes
    taken_s: float


class Tail:
    """The newest publications up to `offset`: at most `max_count`, at most `max_bytes` of payload, none older
    than `ttl_s` seconds. Above a bound the oldest are dropped; older ones must be read from the history."""

    __slots__ = ("_kept", "_max_bytes", "_max_count", "_ttl_s", "offset", "size_bytes")

    def __init__(self, offset: int, *, max_count: int, max_bytes: int, ttl_s: float) -> None:
        self.offset = offset
        self.size_bytes = 0
        self._max_count = max_count
        self._max_bytes = max_bytes
        self._ttl_s = ttl_s
        self._kept: deque[Kept] = deque()

    def __len__(self) -> int:
        return len(self._kept)

    def append(self, payload: bytes, now_s: float) -> None:
        """Add the next publication; `offset` rises by one."""
        self.offset += 1
        self._kept.append(Kept(payload, now_s))
        self.size_bytes += len(payload)
        self._trim(now_s)

    def extend_back(self, first: int, payloads: Sequence[bytes], now_s: float) -> None:
        """Add older publications from the history; the first has the offset `first`.
        Ignored if a gap would remain."""
        begins = self.offset - len(self._kept) + 1
        if not first < begins <= first + len(payloads):
            return
        for payload in reversed(payloads[: begins - first]):
            self._kept.appendleft(Kept(payload, now_s))
            self.size_bytes += len(payload)
        self._trim(now_s)

    def after(self, offset: int, now_s: float) -> list[bytes] | None:
        """All payloads after `offset`, in order; None if one of them is not kept."""
        self._trim(now_s)
        missed = self.offset - offset
        if missed < 0 or missed > len(self._kept):
            return None
        return [kept.payload for kept in islice(self._kept, len(self._kept) - missed, None)]

    def clear(self) -> None:
        """Drop all payloads; `offset` does not change."""
        self._kept.clear()
        self.size_bytes = 0

    def _trim(self, now_s: float) -> None:
        kept = self._kept
        while kept and (
            len(kept) > self._max_count
            or self.size_bytes > self._max_bytes
            or now_s - kept[0].taken_s >= self._ttl_s
        ):
            self.size_bytes -= len(kept.popleft().payload)
