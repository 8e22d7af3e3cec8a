"""Handlers no product would have."""

import asyncio
import time
from typing import Any

from django.db import connection

from realtime import Call, rpc_method


@rpc_method("lab.sleep")
async def sleep(call: Call, *, seconds: float) -> dict[str, Any]:
    """Wait on the loop, without holding it."""
    await asyncio.sleep(seconds)
    return {"slept": seconds}


@rpc_method("lab.slow_query")
def slow_query(call: Call, *, seconds: float) -> dict[str, Any]:
    """Take as long as a slow database would."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SELECT pg_sleep(%s)", [seconds])
        else:
            connection.connection.create_function("lab_sleep", 1, time.sleep)
            cursor.execute("SELECT lab_sleep(%s)", [seconds])
    return {"slept": seconds}


@rpc_method("lab.fail")
async def fail(call: Call) -> dict[str, Any]:
    """Fail as a bug would."""
    raise ZeroDivisionError("the inside of the lab")


@rpc_method("lab.strange")
async def strange(call: Call) -> dict[str, Any]:
    """Return what JSON cannot say."""
    return {"strange": object()}
