"""Changes of histories wait for their second time: in order, and not without end."""

import asyncio
from collections.abc import Coroutine
from typing import Any, cast

import pytest

from realtime.core.history import Change
from realtime.core.topics import TopicKey
from realtime.node import rewrites as module
from realtime.node.rewrites import Rewrites
from realtime.topics.engine.ports import EngineUnavailableError, History
from realtime.topics.hub import Hub

NEWS, OTHERS = TopicKey("acme", "news"), TopicKey("globex", "news")


class Site:
    """A history that may be away, and the tasks of a node."""

    def __init__(self) -> None:
        self.is_away = False
        self.data: dict[TopicKey, bytes] = {NEWS: b"", OTHERS: b""}
        self.tasks: list[asyncio.Task[None]] = []

    async def rewrite(self, key: TopicKey, change: Change) -> None:
        """Change the one publication of a topic."""
        if self.is_away:
            raise EngineUnavailableError("away")
        self.data[key] = change(self.data[key]) or self.data[key]

    def forget_tail(self, key: TopicKey) -> None:
        """There is none."""

    async def tell(self, group: str, body: bytes) -> bool:
        """There are no other nodes."""
        return True

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        self.tasks.append(asyncio.create_task(work))


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Site:
    monkeypatch.setattr(module, "REWRITE_AGAIN_S", 0.001)
    monkeypatch.setattr(module, "TENANT_MAX_CHANGES", 3)
    return Site()


def appended(word: bytes) -> Change:
    return lambda data: data + word


async def test_the_changes_that_wait_are_bounded_by_tenant(site: Site) -> None:
    rewrites = Rewrites(cast("History", site), cast("Hub", site), site.tell, site.spawn)
    site.is_away = True
    for word in (b"1", b"2", b"3", b"4"):
        refused = "3 changes" if word == b"4" else "away"
        with pytest.raises(EngineUnavailableError, match=refused):
            await rewrites.rewrite(NEWS, appended(word))
    with pytest.raises(EngineUnavailableError, match="away"):
        await rewrites.rewrite(OTHERS, appended(b"o"))
    site.is_away = False
    await asyncio.gather(*site.tasks)
    assert (site.data[NEWS][:3], site.data[OTHERS][:1]) == (b"123", b"o")
    assert rewrites.is_idle

    # There is room again, after each pass.
    for _ in range(2):
        for word in (b"5", b"6", b"7"):
            await rewrites.rewrite(NEWS, appended(word))
        with pytest.raises(EngineUnavailableError, match="3 changes"):
            await rewrites.rewrite(NEWS, appended(b"8"))
        await asyncio.gather(*site.tasks)
    assert b"8" not in site.data[NEWS]
