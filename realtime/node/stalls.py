"""Clients that take nothing: cut, so that what waits for them is not kept until a ping goes unanswered."""

import asyncio
from collections.abc import Hashable, Mapping
from time import monotonic

from realtime.core.stalled import Stalls
from realtime.sockets.connection import Connection

# So often is a client looked at within the time that it may take nothing.
LOOKS = 5
# Connections looked at before others have their turn: about a millisecond.
SLICE = 2000


async def cut_stalled(connections: Mapping[str, Connection], limit_s: float) -> None:
    """Cut each connection whose client takes no byte for `limit_s` seconds (0: never) while something waits for it.

    Runs as long as the process.
    """
    stalls: Stalls[Connection] = Stalls(limit_s)
    while limit_s:
        await asyncio.sleep(limit_s / LOOKS)
        for connection in stalls.look(await _marks(connections), monotonic()):
            connection.cut()


async def _marks(connections: Mapping[str, Connection]) -> dict[Connection, Hashable]:
    marks: dict[Connection, Hashable] = {}
    everyone = list(connections.values())
    for at in range(0, len(everyone), SLICE):
        for connection in everyone[at : at + SLICE]:
            if (mark := connection.outbox.mark()) is not None:
                marks[connection] = mark
        await asyncio.sleep(0)
    return marks
