"""The round that repairs gaps: nothing that it was told of is forgotten if it fails."""

import asyncio
from collections.abc import AsyncIterator, Collection
from typing import Any, cast

import pytest

from realtime.conf import RealtimeSettings
from realtime.core.topics import TopicKey, TopicRule
from realtime.node import sweeps as module
from realtime.node.sweeps import Sweeps

KEY = TopicKey("acme", "a")


class Subscribed:
    """A connection with a subscription whose gate asks the database."""

    class Of:
        rule = TopicRule(subscribe_in_db=lambda identity, topic: True)

    subscriptions = {"a": Of}


class Site:
    """The hub and the joiner of a node; each fails the first time that it is asked."""

    def __init__(self) -> None:
        self.compared: list[Collection[TopicKey]] = []
        self.judged = 0
        self.is_done = asyncio.Event()

    async def compare(self, missed: Collection[TopicKey]) -> None:
        if missed:
            self.compared.append(missed)
        if len(self.compared) == 1 and missed:
            raise RuntimeError("the first comparison fails")

    async def judge_again(self, _: Any) -> None:
        self.judged += 1
        if self.judged == 1:
            raise RuntimeError("the first judging fails")
        self.is_done.set()


@pytest.fixture
async def site(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Site]:
    monkeypatch.setattr(module, "GAP_CHECK_INTERVAL_S", 0.001)
    site: Any = Site()
    connections = cast("Any", {"c": Subscribed})
    unused: Any = None
    sweeps = Sweeps(RealtimeSettings(), connections, unused, site, site, unused)
    sweeps.notice_gap([KEY])
    task = asyncio.create_task(sweeps._repair_gaps())
    yield site
    task.cancel()


async def test_a_round_that_fails_is_made_again(site: Site) -> None:
    async with asyncio.timeout(5):
        await site.is_done.wait()
    # The comparison that failed, its repetition, and that of the round whose judging failed.
    assert [list(missed) for missed in site.compared] == [[KEY]] * 3
    assert site.judged == 2
