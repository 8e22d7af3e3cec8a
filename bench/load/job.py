"""What a job is told, and what all jobs do: connect a crowd, say that measuring begins."""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeVar

from bench.load.dialects import Dialect, dialect_of
from bench.load.sockets import Socket

T = TypeVar("T")

CONNECTING_AT_ONCE = 64


@dataclass(frozen=True)
class Job:
    """One measurement. `ports` are the server's processes, `pids` what is charged to it."""

    name: str
    dialect: str
    ports: list[int]
    pids: list[int]
    room: str = "bench"
    tokens: list[str] = field(default_factory=list)
    # The database's id of the chat room that the tokens' users are in.
    room_id: int = 0
    # Of the server, where it is PostgreSQL.
    database_url: str = ""
    # Of the server, where it has a broker.
    redis_url: str = ""
    members: int = 1000
    # Messages published at once; as many publishers.
    width: int = 1
    # Sockets of an echo, and messages in flight on each.
    sockets: int = 64
    depth: int = 1
    # Open loop: messages per second, and their size.
    rate: float = 0.0
    text_bytes: int = 100
    duration_s: float = 3.0

    @cached_property
    def speech(self) -> Dialect:
        """The dialect by its name."""
        return dialect_of(self.dialect)

    def token(self, number: int) -> str:
        """A token for the member of this number; "" where nobody signs in."""
        return self.tokens[number % len(self.tokens)] if self.tokens else ""

    def port(self, number: int) -> int:
        """The members are dealt out to the server's processes in turn."""
        return self.ports[number % len(self.ports)]


async def at_once(count: int, make: Callable[[int], Awaitable[T]]) -> list[T]:
    """`make(0)` to `make(count - 1)`, a bounded number at a time."""
    gate = asyncio.Semaphore(CONNECTING_AT_ONCE)

    async def gated(number: int) -> T:
        async with gate:
            return await make(number)

    return await asyncio.gather(*(gated(number) for number in range(count)))


async def crowd(job: Job) -> list[Socket]:
    """The members, connected and joined."""
    speech = job.speech

    async def member(number: int) -> Socket:
        socket = await speech.open(job.port(number), job.token(number))
        await speech.join(socket, job.room)
        return socket

    return await at_once(job.members, member)


async def publishers(job: Job, members: Sequence[Socket]) -> list[Socket]:
    """Who publishes: the first members, or sockets of their own."""
    if job.speech.members_publish:
        return list(members[: job.width])
    return await at_once(job.width, lambda number: job.speech.open_publisher(job.port(number), job.room))


def announce_window(seconds: float) -> None:
    """Tell whoever started this job that the measured part begins now."""
    sys.stdout.write(json.dumps({"window_s": seconds}) + "\n")
    sys.stdout.flush()
