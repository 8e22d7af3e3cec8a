"""Closes the connections of a process that ends, so that their clients do not all come to the other nodes at once."""

import asyncio
from collections.abc import Sequence

from realtime.protocol.close_codes import CloseCode
from realtime.sockets.connection import Connection

# The interval, in seconds, at which connections are closed.
SLICE_S = 0.05


async def close_evenly(waiting: Sequence[Connection], *, within_s: float) -> None:
    """Close the connections, spread evenly over `within_s` seconds (0: all at once)."""
    # In slices of time, because with many connections a pause for each one would be rounded to zero.
    slices = max(round(within_s / SLICE_S), 1)
    closed = 0
    for number in range(1, slices + 1):
        # Rounded up, so that the first is closed at once.
        due = -(-len(waiting) * number // slices)
        for connection in waiting[closed:due]:
            connection.close(CloseCode.RESTART, "service restart")
        closed = due
        if closed == len(waiting):
            return
        await asyncio.sleep(SLICE_S)
