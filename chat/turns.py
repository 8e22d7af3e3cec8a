"""Whose turn it is to write in a room, among the connections of this process."""

import asyncio
from weakref import WeakValueDictionary


class RoomTurns:
    """One writer at a time in each room, in the order they came.

    The database would make them wait too, but each in one of its threads: a busy room would take them all.
    And a message is announced within its turn, so that this process announces a room's messages in order.
    """

    def __init__(self) -> None:
        # A lock lives as long as somebody holds it or waits for it.
        self._locks: WeakValueDictionary[tuple[int, int], asyncio.Lock] = WeakValueDictionary()

    def of(self, tenant_id: int, room_id: int) -> asyncio.Lock:
        """The lock of a room, held while writing there. Found by tenant too: others cannot hold it up."""
        key = (tenant_id, room_id)
        lock = self._locks.get(key)
        if lock is None:
            lock = self._locks[key] = asyncio.Lock()
        return lock
