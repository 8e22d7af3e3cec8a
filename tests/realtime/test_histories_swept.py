"""A process sweeps its history by itself, and takes its budgets from the settings."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from realtime.conf import load_settings
from realtime.core.topics import TopicKey, TopicRule
from realtime.node.node import Node
from realtime.node.sweeps import EXPIRY_INTERVAL_S
from realtime.topics.engine.drafts import make_draft
from realtime.topics.engine.memory import MemoryHistory

pytestmark = pytest.mark.django_db(transaction=True)

TTL_S = 0.1
RULES = {"": TopicRule(history_ttl_s=TTL_S), "kept": TopicRule()}


@pytest.fixture
async def runtime(db: None) -> AsyncIterator[Node]:
    settings = replace(load_settings(), REDIS_URL="", TOPIC_RULES=RULES, HISTORY_BYTES_PER_TENANT=20_000)
    runtime = Node(settings)
    await runtime.ensure_started()
    yield runtime
    await runtime.stop()


async def test_what_is_too_old_goes_though_nobody_publishes_or_reads(runtime: Node) -> None:
    history = runtime.history
    assert isinstance(history, MemoryHistory)
    for number in range(10):
        await runtime.publish("acme", f"t{number}", make_draft("t", "x" * 100, time=""))
    (acme,) = history._tenants.values()
    assert acme.publications == 10
    async with asyncio.timeout(EXPIRY_INTERVAL_S * 10):
        while acme.publications:  # noqa: ASYNC110 the sweep tells nobody
            await asyncio.sleep(TTL_S)


async def test_the_budgets_are_those_of_the_settings(runtime: Node) -> None:
    for _ in range(30):
        await runtime.publish("acme", "kept:a", make_draft("kept:a", "x" * 3000, time=""))
    page = await runtime.history.latest(TopicKey("acme", "kept:a"), 100, 0)
    assert page.publications is not None
    assert len(page.publications) == 5
