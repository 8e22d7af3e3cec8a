"""Publications that the engine has made beforehand, sent to one server at a time.

So a server is measured as on a machine of its own, and as its own limit: one process with an engine cannot keep three
servers busy, and on one machine they share caches and cores with it and with each other.
"""

import asyncio
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

import hiredis

from realtime.topics.engine.broker import Broker

READ_BYTES = 256 * 1024
# So many batches are on their way: a server has the next one when it has answered one.
BATCHES = 2


class Recorder(Broker):
    """Keeps the calls of an engine, by the port of the server that they are for, and sends none."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.calls: dict[int, list[bytes]] = defaultdict(list)

    async def call(
        self, partition: int, *command: str | bytes | int, is_read: bool = False, is_repeatable: bool = False
    ) -> Any:
        """As `Broker.call`; the answer is that to a first publication."""
        place = self.map.owner(partition)
        assert place is not None
        self.calls[place[1]].append(hiredis.pack_command(command))  # type: ignore[arg-type] # its stub allows one word only
        return b"added 0123456789abcdef 1"


async def send(port: int, calls: Sequence[bytes], at_once: int) -> None:
    """Send calls to one server of this machine, at most `at_once` of them on their way; raises hiredis.ReplyError."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    replies = hiredis.Reader()
    unanswered = 0
    for batch in _batches(calls, max(at_once // BATCHES, 1)):
        writer.write(b"".join(batch))
        unanswered += len(batch)
        while unanswered > at_once - len(batch):
            unanswered -= _taken(replies, await reader.read(READ_BYTES))
    while unanswered:
        unanswered -= _taken(replies, await reader.read(READ_BYTES))
    writer.close()
    await writer.wait_closed()


def _batches(calls: Sequence[bytes], size: int) -> Iterator[Sequence[bytes]]:
    return (calls[at : at + size] for at in range(0, len(calls), size))


def _taken(replies: hiredis.Reader, data: bytes) -> int:
    """The number of replies that are whole with `data`."""
    assert data, "the server has closed the connection"
    replies.feed(data)
    taken = 0
    while (reply := replies.gets()) is not False:
        if isinstance(reply, hiredis.ReplyError):
            raise reply
        taken += 1
    return taken
