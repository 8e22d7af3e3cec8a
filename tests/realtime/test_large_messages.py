"""Large messages are decoded in turns: others have the loop in between, and one message at a time is in memory."""

import asyncio
import gc
from time import thread_time
from types import SimpleNamespace
from typing import Any, cast

import pytest

from realtime.core.identity import Tenant
from realtime.endpoints.large_messages import LargeMessages
from realtime.protocol.codec import RAW_MESSAGE_MAX_BYTES
from realtime.protocol.errors import RequestError
from realtime.sockets.connection import Connection
from tests.slowness import slowness

UNIT = "[" * 28 + "]" * 28 + ","


def message(size: int = RAW_MESSAGE_MAX_BYTES, ending: str = "1]}") -> str:
    return '{"type":"a","b":[' + UNIT * ((size - 30) // len(UNIT)) + ending


def connection(slug: str = "acme") -> Connection:
    fields = SimpleNamespace(tenant=Tenant(1, slug), identity=None, address="", is_closing=False)
    return cast("Connection", fields)


async def decode(large: LargeMessages, of: Connection, text: str) -> Any:
    return await large.decode(of, text, max_bytes=RAW_MESSAGE_MAX_BYTES)


class Steps:
    """The CPU time that others take between two passes of the loop."""

    def __init__(self) -> None:
        self.longest_s = 0.0
        self.count = 0
        self._before_s = thread_time()
        self._timer = asyncio.get_running_loop().call_soon(self._step)

    def _step(self) -> None:
        self.longest_s = max(self.longest_s, thread_time() - self._before_s)
        self.count += 1
        self._timer = asyncio.get_running_loop().call_soon(self._step)
        self._before_s = thread_time()

    def stop(self) -> None:
        self._timer.cancel()


async def test_large_messages_of_many_sockets_leave_the_loop_to_others() -> None:
    large, steps = LargeMessages(), Steps()
    # Hypothesis takes the time of every collection, in Python.
    gc.disable()
    try:
        heads = await asyncio.gather(*[decode(large, connection(), message()) for _ in range(3)])
    finally:
        gc.enable()
        steps.stop()
    assert heads == [{"type": "a"}] * 3
    # In one step each message takes about 100 ms.
    assert steps.longest_s < 0.02 * slowness()
    assert steps.count > 3 * 30


async def test_one_that_is_closed_is_not_decoded_to_its_end() -> None:
    large, closed = LargeMessages(), connection()
    decoding = asyncio.ensure_future(decode(large, closed, message(ending="nonsense")))
    await asyncio.sleep(0.005)
    cast("Any", closed).is_closing = True
    assert await decoding is None
    assert await decode(large, closed, message()) is None


async def test_a_slot_is_given_back_after_a_refusal_and_a_cancellation() -> None:
    large = LargeMessages()
    with pytest.raises(RequestError, match="not JSON"):
        await decode(large, connection(), message(ending="nonsense"))
    decodings = [asyncio.ensure_future(decode(large, connection(), message())) for _ in range(3)]
    await asyncio.sleep(0.005)
    for each in decodings[:2]:
        each.cancel()
    await asyncio.wait(decodings)
    assert [each.cancelled() for each in decodings] == [True, True, False]
    assert decodings[2].result() == {"type": "a"}


async def test_tenants_take_turns() -> None:
    large, order = LargeMessages(), []

    async def one(slug: str) -> None:
        await decode(large, connection(slug), message(100_000))
        order.append(slug)

    await asyncio.gather(*[one("acme") for _ in range(4)], one("globex"))
    assert order.index("globex") <= 2
