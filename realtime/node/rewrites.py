"""Rewrites histories in place, to replace data that must not be read again. Other nodes drop their copies."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from functools import partial
from typing import Any

import msgspec

from realtime.core.history import Change
from realtime.core.topics import TopicKey
from realtime.topics.engine.ports import EngineUnavailableError, History
from realtime.topics.hub import Hub

REWRITES_GROUP = "rewrites"
# Seconds after which a history is rewritten once more, for publications that were under way the first time.
REWRITE_AGAIN_S = 6.0
# Changes of one tenant that wait for their second time. They gather while the history is away. Beyond it they are refused.
TENANT_MAX_CHANGES = 10_000


class Rewritten(msgspec.Struct, array_like=True, frozen=True):
    """Sent to every node: the history of a topic was rewritten."""

    tenant: str
    topic: str


class Rewrites:
    """Rewrites histories, each topic twice. Used only on the event loop of its node.

    `tell` sends a message to every other node, `spawn` runs a task of the node.
    """

    def __init__(
        self,
        history: History,
        hub: Hub,
        tell: Callable[[str, bytes], Awaitable[bool]],
        spawn: Callable[[Coroutine[Any, Any, None]], object],
    ) -> None:
        self._history = history
        self._hub = hub
        self._tell = tell
        self._spawn = spawn
        # The changes that are carried out once more, by topic.
        self._again: dict[TopicKey, list[Change]] = {}
        # How many of these changes a tenant has, or is about to forget.
        self._counts: Counter[str] = Counter()

    @property
    def is_idle(self) -> bool:
        """True if no topic waits for its second time."""
        return not self._again

    async def rewrite(self, key: TopicKey, change: Change) -> None:
        """Replace data in the history of a topic, now and once more after REWRITE_AGAIN_S.

        Raises EngineUnavailableError; the second time may still succeed, unless TENANT_MAX_CHANGES wait for it.
        """
        if self._counts[key.tenant] >= TENANT_MAX_CHANGES:
            raise EngineUnavailableError(
                f"{TENANT_MAX_CHANGES} changes of histories wait for the broker already."
            )
        self._counts[key.tenant] += 1
        is_new = key not in self._again
        self._again.setdefault(key, []).append(change)
        if is_new:
            self._spawn(self._rewrite_again(key))
        await self._rewrite(key, change)

    def told(self, body: bytes) -> None:
        """Forget this node's copy of a topic's history, because another node has rewritten it."""
        rewritten = msgspec.msgpack.decode(body, type=Rewritten)
        self._hub.forget_tail(TopicKey(rewritten.tenant, rewritten.topic))

    async def _rewrite(self, key: TopicKey, change: Change) -> None:
        await self._history.rewrite(key, change)
        self._hub.forget_tail(key)
        await self._tell(REWRITES_GROUP, msgspec.msgpack.encode(Rewritten(*key)))

    async def _rewrite_again(self, key: TopicKey) -> None:
        """Rewrite a topic at intervals, with all recent changes in one pass, because it reads the whole topic.

        Each change has a pass at least REWRITE_AGAIN_S after it was asked for. While the history is away, all
        wait for the next pass.
        """
        before: list[Change] = []
        try:
            while before or self._again[key]:
                await asyncio.sleep(REWRITE_AGAIN_S)
                recent, self._again[key] = self._again[key], []
                try:
                    await self._rewrite(key, partial(_changed, [*before, *recent]))
                    self._forget(key.tenant, len(before))
                    before = recent
                except EngineUnavailableError:
                    before += recent
        finally:
            self._forget(key.tenant, len(before) + len(self._again.pop(key)))

    def _forget(self, tenant: str, count: int) -> None:
        self._counts[tenant] -= count
        if not self._counts[tenant]:
            del self._counts[tenant]


def _changed(changes: Sequence[Change], data: bytes) -> bytes | None:
    new = data
    for change in changes:
        new = change(new) or new
    return None if new is data else new
