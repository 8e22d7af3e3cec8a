"""Decodes messages that are too large to be decoded in one step of the event loop."""

import asyncio
from collections.abc import Generator
from time import perf_counter
from typing import Any

from realtime.core.slots import owner_of
from realtime.node.turns import SlotQueue
from realtime.protocol.pieces import decode_in_pieces
from realtime.sockets.connection import Connection

# Seconds of pieces after which the loop is free for other work for the same time.
TURN_S = 0.001


class LargeMessages:
    """Decodes one message of the process at a time, so that half-decoded ones do not add up in memory. The
    others wait, one of each connection; tenants and users take turns."""

    def __init__(self) -> None:
        self._slots = SlotQueue(1, busy="Too many large messages; try again.")

    async def decode(self, connection: Connection, text: str, *, max_bytes: int) -> Any:
        """As `decode_in_pieces`; None if the connection is closed meanwhile."""
        owner = owner_of(connection.tenant, connection.identity, connection.address)
        await self._slots.take(owner)
        try:
            reading = decode_in_pieces(text, max_bytes=max_bytes)
            while not connection.is_closing:
                begun_s = perf_counter()
                try:
                    _advance(reading, begun_s + TURN_S)
                except StopIteration as done:
                    return done.value
                await asyncio.sleep(perf_counter() - begun_s)
        finally:
            self._slots.give_back(owner)
        return None


def _advance(reading: Generator[None, None, Any], deadline_s: float) -> None:
    next(reading)
    while perf_counter() < deadline_s:
        next(reading)
