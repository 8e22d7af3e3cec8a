"""The servers that cache and channel layer use, by REDIS_URL, CACHE_URL and CHANNEL_REDIS_URL."""

import pytest

from realtime import cache_settings, channel_layer_settings
from rockstar_site.broker_settings import caches, channel_layers

ONE, OTHER, CLUSTER = "redis://h:1/0", "redis+sentinel://s/m", "redis+cluster://a:1,b:2"


@pytest.mark.parametrize(
    ("redis_url", "own", "used"),
    [(ONE, "", ONE), (OTHER, "", OTHER), (ONE, OTHER, OTHER), (CLUSTER, ONE, ONE), ("", ONE, ONE)],
)
def test_each_has_a_server(redis_url: str, own: str, used: str) -> None:
    assert caches(redis_url, own) == {"default": cache_settings(used)}
    assert channel_layers(redis_url, own) == {"default": channel_layer_settings(used)}


def test_without_one_there_is_the_process() -> None:
    assert "locmem" in caches("", "")["default"]["BACKEND"]
    assert "InMemory" in channel_layers("", "")["default"]["BACKEND"]


def test_beside_a_cluster_there_is_no_layer() -> None:
    assert "locmem" in caches(CLUSTER, "")["default"]["BACKEND"]
    assert channel_layers(CLUSTER, "") == {}
