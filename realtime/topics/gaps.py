"""Publications that arrive before an earlier one, and the moment for which a hub waits for that one.

A node gets its own publications with the broker's reply, and those of other nodes on another connection. Neither waits for
the other. So a missing publication is usually on its way; reading the history for it would cost a call each time.
"""

import asyncio
from collections.abc import Callable

from realtime.topics.local_topic import LocalTopic

# Seconds that a hub waits for a publication that is missing before it reads the history.
GAP_WAIT_S = 0.03
# Payload bytes that a hub keeps meanwhile, of all topics. Beyond it nothing is waited for.
HELD_MAX_BYTES = 4 * 1024 * 1024


class Gaps:
    """The topics of a hub that lack a publication. Used only on its event loop.

    `give_up` is called with a topic for which nothing has come for `wait_s` seconds.
    """

    def __init__(self, give_up: Callable[[LocalTopic], None], wait_s: float = GAP_WAIT_S) -> None:
        self._loop = asyncio.get_running_loop()
        self._give_up = give_up
        self._wait_s = wait_s
        self.held_bytes = 0

    def hold(self, local: LocalTopic, offset: int, payload: bytes) -> None:
        """Keep a publication until the ones before it have come."""
        if local.held is None:
            local.held = {}
        if offset in local.held:
            return
        local.held[offset] = payload
        self.held_bytes += len(payload)
        if self.held_bytes > HELD_MAX_BYTES:
            self._give_up(local)
        else:
            self.wait(local)

    def wait(self, local: LocalTopic) -> None:
        """Something is missing: give up on it if it has not come in time."""
        if local.waits_at is None:
            local.waits_at = local.offset
            self._loop.call_later(self._wait_s, self._look, local)

    def next_of(self, local: LocalTopic) -> bytes | None:
        """Take out the publication after the topic's offset, if it is kept."""
        held = local.held
        payload = None if held is None else held.pop(local.offset + 1, None)
        if payload is not None:
            self.held_bytes -= len(payload)
            if not held:
                local.held = None
        return payload

    def take_all(self, local: LocalTopic) -> list[tuple[int, bytes]]:
        """Take out all that is kept of a topic, in the order of its offsets."""
        held, local.held = local.held, None
        if held is None:
            return []
        self.held_bytes -= sum(map(len, held.values()))
        return sorted(held.items())

    def _look(self, local: LocalTopic) -> None:
        waited_at, local.waits_at = local.waits_at, None
        if local.offset >= local.newest:
            return
        if local.offset == waited_at:
            self._give_up(local)
        else:
            # The topic has moved on since, and now lacks a later publication.
            self.wait(local)
