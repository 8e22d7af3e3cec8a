"""A thousand sockets on which nothing happens stay open, with default settings but for the limit of their address.

On `scaled` alone: timeouts of Redis or the database could end idle connections, and `serve` has fewer.
"""

import asyncio
import contextlib
import os

import pytest

from tests.e2e.visitor import Visitor

SOCKETS = 1000
AT_ONCE = 50
# 60 s is what is promised; the suite looks at a part of it that is longer than redis-py's 5 s (see settings).
IDLE_S = float(os.environ.get("IDLE_SECONDS", "6"))

pytestmark = pytest.mark.timeout(240)


@pytest.mark.settings(REALTIME_MAX_CONNECTIONS_PER_IP=SOCKETS)
@pytest.mark.kinds("scaled")
async def test_a_thousand_idle_sockets_stay(acme: Visitor) -> None:
    async with contextlib.AsyncExitStack() as stack:
        talks = []
        for start in range(0, SOCKETS, AT_ONCE):
            paths = ["/ws/pubsub/" if number % 2 else "/ws/echo/" for number in range(start, start + AT_ONCE)]
            opening = [stack.enter_async_context(acme.open(path)) for path in paths]
            talks += await asyncio.gather(*opening)
        await asyncio.sleep(IDLE_S)
        closed = [talk.socket.close_code for talk in talks if talk.socket.close_code is not None]
        assert closed == []
        alive = await asyncio.gather(*(talk.is_alive() for talk in talks))
        assert all(alive)
