"""A scripted server for every test, and no waiting between connections."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from realtime.client import AsyncClient, online, topics
from tests.client.scripted import Scripted, scripted


@pytest.fixture(autouse=True)
def waits(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """The arguments of each backoff; none of them waits."""
    asked: list[tuple[Any, ...]] = []

    def at_once(*arguments: Any) -> float:
        asked.append(arguments)
        return 0.0

    monkeypatch.setattr(online, "backoff_s", at_once)
    monkeypatch.setattr(topics, "backoff_s", at_once)
    return asked


@pytest.fixture
async def server() -> AsyncIterator[Scripted]:
    async with scripted() as script:
        yield script


@pytest.fixture
async def client(server: Scripted) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(server.url, proxy=None) as made:
        yield made
