"""Slots for work that is bounded in number: tenants and users take turns (`core.slots` has the rules)."""

import asyncio
from collections.abc import Hashable
from time import monotonic

from realtime.core.slots import Entry, Owner, Slots
from realtime.protocol.errors import ErrorCode, RequestError

# The `retry_after_ms` of work refused because too much waits: about the time in which the
# queue becomes shorter.
FULL_RETRY_AFTER_MS = 500


class SlotQueue:
    """Lets `total` pieces of work run at once; further work waits at most `wait_s` seconds (0: without limit).

    At most `waiting_max` pieces wait, and `waiting_per_tenant_max` of one tenant (0: no limit). `busy` tells
    a client why its request was refused.
    """

    def __init__(
        self,
        total: int,
        *,
        busy: str,
        wait_s: float = 0.0,
        waiting_max: int = 0,
        waiting_per_tenant_max: int = 0,
    ) -> None:
        self._slots = Slots(total, waiting_max, waiting_per_tenant_max)
        # The futures of the work that waits in `_slots`, by its key there.
        self._turns: dict[Hashable, asyncio.Future[None]] = {}
        self._wait_s = wait_s
        self._busy = busy
        # Work that had to wait for a slot, and how long all of it waited, in seconds.
        self.waits = 0
        self.waited_s = 0.0

    @property
    def waiting(self) -> int:
        """The amount of work that waits now."""
        return len(self._turns)

    async def take(self, owner: Owner) -> None:
        """Wait for a slot; `give_back` must follow. Raises RequestError(timeout) if none became free in time,
        and RequestError(rate_limited) at once if too much work of this tenant, or of all, already waits."""
        entry = self._slots.enter(owner, turn := object())
        if entry is Entry.FULL:
            raise RequestError(ErrorCode.RATE_LIMITED, self._busy, retry_after_ms=FULL_RETRY_AFTER_MS)
        if entry is Entry.WAIT:
            await self._wait(owner, turn)

    def give_back(self, owner: Owner) -> None:
        """Give back a slot: the work has ended."""
        self._slots.leave(owner)
        self._begin_next()

    async def _wait(self, owner: Owner, turn: object) -> None:
        waiting = self._turns[turn] = asyncio.get_running_loop().create_future()
        self.waits += 1
        began_s = monotonic()
        try:
            async with asyncio.timeout(self._wait_s or None):
                await waiting
        except BaseException as error:
            if self._turns.pop(turn, None) is None:
                # It was given the slot at the same moment, so it must give it back.
                self.give_back(owner)
            else:
                self._slots.withdraw(owner, turn)
                self._begin_next()
            if isinstance(error, TimeoutError):
                raise RequestError(ErrorCode.TIMEOUT, self._busy) from None
            raise
        finally:
            self.waited_s += monotonic() - began_s

    def _begin_next(self) -> None:
        while (turn := self._slots.next()) is not None:
            waiting = self._turns.pop(turn)
            # If it was just cancelled, its own handler gives the slot back.
            if not waiting.done():
                waiting.set_result(None)
