"""`group_send` of another app beside our topics over Sentinel, and beside a cluster; `test_two_nodes` has one server."""

from collections.abc import Iterator

import pytest

from tests.e2e.rooms import CHANNEL_LAYER, reach_everybody_once
from tests.servers.cluster import Cluster
from tests.servers.pool import Site, SitePool
from tests.servers.sentinels import SentinelSet

pytestmark = pytest.mark.redis


@pytest.fixture(scope="module", params=["sentinel", "cluster"])
def pair(
    request: pytest.FixtureRequest, site_pool: SitePool, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    """Two servers. A cluster has a single server beside it for the channel layer."""
    folder = tmp_path_factory.mktemp("channel-layer")
    servers = SentinelSet(folder) if request.param == "sentinel" else Cluster(folder)
    try:
        servers.start()
        beside = (
            {}
            if request.param == "sentinel"
            else {"CHANNEL_REDIS_URL": request.getfixturevalue("valkey_url")}
        )
        site = site_pool.start("serve", CHANNEL_LAYER | beside | {"REDIS_URL": servers.url}, servers=2)
        yield site
        site.close()
    finally:
        servers.stop()


async def test_group_send_reaches_everybody_once(pair: Site) -> None:
    await reach_everybody_once(pair)
