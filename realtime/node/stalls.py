"""Cuts clients that read nothing, so that their waiting messages are not kept until a ping times out."""

import asyncio
from collections.abc import Hashable, Mapping
from time import monotonic

from realtime.core.stalled import Stalls
from realtime.sockets.connection import Connection

# How many times a client is checked within the time limit.
LOOKS = 5
# How many connections are checked before other work gets the event loop.
SLICE = 2000


async def cut_stalled(connections: Mapping[str, Connection], limit_s: float) -> None:
    """Cut each connection whose client takes no byte for `limit_s` seconds (0: never) while
    messages wait for it.

    Runs until it is cancelled.
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
