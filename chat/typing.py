"""Typing on one connection: how often it is announced, and how often a database may be asked for it.

Time is the caller's monotonic clock, in seconds.
"""

from realtime import ErrorCode, RequestError, TokenBucket, retry_after_ms

# Seconds between two announcements of a connection in a room; repeats within them are acknowledged and not announced.
ANNOUNCE_EVERY_S = 1.0
# Rooms in which a connection may be typing at once; in more of them it is acknowledged and not announced.
ROOMS_MAX = 50
# Questions to the database, for rooms the connection does not follow: beyond it `rate_limited`.
LOOKUPS_PER_S = 2.0
LOOKUPS_BURST = 20


class Typing:
    """What one connection has announced lately, and its budget of questions."""

    __slots__ = ("_announced_s", "_lookups")

    def __init__(self, now_s: float) -> None:
        # By room, the longest ago first.
        self._announced_s: dict[int, float] = {}
        self._lookups = TokenBucket(LOOKUPS_PER_S, LOOKUPS_BURST, now_s)

    def may_look_up(self, room_id: int, now_s: float) -> bool:
        """Whether the database is asked who is in the room; False where a repeat is taken for allowed without it.

        Raises RequestError(rate_limited).
        """
        wait_s = self._lookups.take(now_s)
        if not wait_s:
            return True
        if self._is_repeat(room_id, now_s):
            return False
        raise RequestError(
            ErrorCode.RATE_LIMITED,
            "Too many rooms that this connection does not follow; subscribe to them, or slow down.",
            retry_after_ms=retry_after_ms(wait_s),
        )

    def is_due(self, room_id: int, now_s: float) -> bool:
        """Whether it is announced now; that is remembered."""
        if self._is_repeat(room_id, now_s):
            return False
        while self._announced_s and now_s - next(iter(self._announced_s.values())) >= ANNOUNCE_EVERY_S:
            del self._announced_s[next(iter(self._announced_s))]
        if len(self._announced_s) >= ROOMS_MAX:
            return False
        self._announced_s[room_id] = now_s
        return True

    def _is_repeat(self, room_id: int, now_s: float) -> bool:
        announced_s = self._announced_s.get(room_id)
        return announced_s is not None and now_s - announced_s < ANNOUNCE_EVERY_S
