"""Tries the broker until it can be used, so that /readyz and the log name the reason if it cannot."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from realtime.topics.engine.ports import BrokerRefusedError, EngineUnavailableError

logger = logging.getLogger(__name__)

# Seconds until the next try of a broker that could not be reached, and of one that was refused.
UNREACHABLE_S, REFUSED_S = 2.0, 10.0


async def _check(url: str) -> list[str]:
    from realtime.topics.engine.broker_check import check_broker  # noqa: PLC0415 an extra

    return await check_broker(url)


class BrokerWatch:
    """`fault` says why the broker was refused; empty as long as it was not.

    A process does not end because of it: at its start the broker may have been away.
    """

    def __init__(self, check: Callable[[str], Awaitable[list[str]]] = _check) -> None:
        self.fault = ""
        self._check = check

    async def run(self, url: str) -> None:
        """Try the broker of this REDIS_URL until it can be used."""
        while (wait_s := await self.try_once(url)) is not None:  # noqa: ASYNC110 nothing here says when a broker is back
            await asyncio.sleep(wait_s)

    async def try_once(self, url: str) -> float | None:
        """Try the broker out. Return when to try again, in seconds; None if all is well."""
        try:
            warnings = await self._check(url)
        except BrokerRefusedError as error:
            if str(error) != self.fault:
                logger.log(logging.ERROR, "The broker cannot be used: %s", error)
            self.fault = str(error)
            return REFUSED_S
        except EngineUnavailableError:
            return UNREACHABLE_S
        self.fault = ""
        for warning in warnings:
            logger.warning("%s", warning)
        return None
