"""Page loads that race publications, in short; `python -m bench.page_loads` has 1,000 of them."""

import pytest

from bench.page_loads import opened, race
from tests.servers.pool import Site

pytestmark = pytest.mark.servers


async def test_pages_that_load_while_things_are_published_miss_nothing_and_double_nothing(site: Site) -> None:
    async with opened(site.server.port) as running:
        result = await race(running, loads=30, per_s=200)
    assert (result.loads, result.missed, result.doubled) == (30, 0, 0)
    assert result.raced > 0
