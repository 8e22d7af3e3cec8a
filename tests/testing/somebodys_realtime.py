"""What a project declares: methods with a mistake that only some orders of events show."""

import asyncio

from realtime import Call, publish, rpc_method
from realtime.endpoints.registry import Registry
from realtime.endpoints.rpc import RpcMethod

TAKEN: list[str] = []


@rpc_method("seat.take")
async def take_seat(call: Call, *, seat: str) -> dict[str, bool]:
    """Checks, waits, and acts: two callers may take the same seat."""
    if seat in TAKEN:
        return {"taken": False}
    await call.in_db(lambda: None)
    TAKEN.append(seat)
    return {"taken": True}


@rpc_method("order.ship")
def ship(call: Call, *, number: int) -> dict[str, int]:
    """Publishes from a database thread."""
    position = publish(f"orders:{number}", {"state": "shipped"}, tenant=call.tenant.slug)
    assert position is not None
    return {"offset": position.offset}


@rpc_method("order.fail")
async def fail(call: Call) -> dict[str, int]:
    """Raises what nothing expects."""
    await asyncio.sleep(1)
    return {"impossible": 1 // 0}


def registry() -> Registry:
    """Return these methods, as if they were those of the only app."""
    return Registry([each for each in globals().values() if isinstance(each, RpcMethod)], [], [])
