"""Connecting a crowd, and what it costs the server to hold it."""

import asyncio
import time

from bench.load.database import transactions
from bench.load.job import Job, announce_window, at_once
from bench.load.meter import Usage, memory_bytes
from bench.load.sockets import Socket, disconnect

# Before the counted ones, so that pools and caches have their size.
WARM_UP = 100
SETTLE_S = 2.0
# The first and the last so many are also timed by themselves.
STRETCH = 500


async def connects(job: Job) -> dict[str, float]:
    """Connects per second, over all and over the first and last 500, and the memory of a joined idle socket."""
    speech = job.speech

    async def join(socket: Socket) -> None:
        await speech.join(socket, job.room)

    early = await at_once(WARM_UP, lambda number: speech.open(job.port(number), job.token(number)))
    await at_once(len(early), lambda number: join(early[number]))
    await asyncio.sleep(SETTLE_S)
    asked_before = await transactions(job.database_url) if job.database_url else 0
    memory_before = memory_bytes(job.pids)
    announce_window(job.duration_s)
    ready_s: list[float] = []

    async def member(number: int) -> Socket:
        socket = await speech.open(job.port(number), job.token(number))
        ready_s.append(time.perf_counter())
        return socket

    before = Usage.now(job.pids)
    members = await at_once(job.members, member)
    figures = Usage.now(job.pids).figures(before, job.members)
    if job.database_url:
        figures["queries"] = (await transactions(job.database_url) - asked_before) / job.members
    await at_once(len(members), lambda number: join(members[number]))
    await asyncio.sleep(SETTLE_S)
    grown = memory_bytes(job.pids) - memory_before
    await disconnect([*early, *members])
    stretch = min(STRETCH, job.members // 2)
    first = stretch / (ready_s[stretch - 1] - before.at_s)
    last = stretch / (ready_s[-1] - ready_s[-1 - stretch])
    return figures | {
        "first_rate": first,
        "last_rate": last,
        "last_to_first": last / first,
        "kib": grown / job.members / 1024,
    }
