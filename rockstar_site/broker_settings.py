"""The stores of Django's cache and of the channel layer of other apps: servers of their own, `REDIS_URL`, or this process.

Neither of them can use a cluster.
"""

from typing import Any

from realtime import cache_settings, channel_layer_settings, is_cluster

Settings = dict[str, dict[str, Any]]


def caches(redis_url: str, cache_url: str) -> Settings:
    """Return CACHES; without a server that it can use, each process has a cache of its own."""
    url = cache_url or _usable(redis_url)
    if not url:
        return {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
    return {"default": cache_settings(url)}


def channel_layers(redis_url: str, channel_redis_url: str) -> Settings:
    """Return CHANNEL_LAYERS. Beside a cluster there is none: one in memory would lose what goes to other processes."""
    url = channel_redis_url or _usable(redis_url)
    if url:
        return {"default": channel_layer_settings(url)}
    return {} if redis_url else {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}


def _usable(redis_url: str) -> str:
    return "" if is_cluster(redis_url) else redis_url
