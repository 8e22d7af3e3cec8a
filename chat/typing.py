"""Typing on one connection: limits on announcements and on database queries.

Time is the caller's monotonic clock, in seconds.
"""

from math import inf

from django.utils.translation import gettext as _

from chat.errors import too_fast
from realtime import TokenBucket

# Seconds between two announcements of a connection in a room. Repeats in between are acknowledged, not
# announced.
ANNOUNCE_EVERY_S = 1.0
# Rooms in which a connection may be typing at the same time. In more rooms it is acknowledged, not announced.
ROOMS_MAX = 50
# Database queries for rooms that the connection does not subscribe to; beyond it `rate_limited`.
LOOKUPS_PER_S = 2.0
LOOKUPS_BURST = 20


class Typing:
    """The recent announcements of one connection, and its budget of database queries."""

    __slots__ = ("_announced_s", "_lookups")

    def __init__(self, now_s: float) -> None:
        # Time of the last announcement by room.
        self._announced_s: dict[int, float] = {}
        self._lookups = TokenBucket(LOOKUPS_PER_S, LOOKUPS_BURST, now_s)

    def may_look_up(self, room_id: int, now_s: float) -> bool:
        """Return whether to check membership in the database. False for a repeat that is allowed without it.

        Raises RequestError(rate_limited).
        """
        wait_s = self._lookups.take(now_s)
        if not wait_s:
            return True
        if now_s - self._announced_s.get(room_id, -inf) < ANNOUNCE_EVERY_S:
            return False
        message = _(
            "Too many rooms that this connection has not subscribed to; subscribe to them, or slow down."
        )
        raise too_fast(message, wait_s)

    def is_due(self, room_id: int, now_s: float) -> bool:
        """Return whether to announce typing now. If True, the announcement is recorded."""
        lately = {each: at_s for each, at_s in self._announced_s.items() if now_s - at_s < ANNOUNCE_EVERY_S}
        is_due = room_id not in lately and len(lately) < ROOMS_MAX
        self._announced_s = lately | {room_id: now_s} if is_due else lately
        return is_due
