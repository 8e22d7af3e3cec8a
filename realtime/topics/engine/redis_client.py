"""Connections of Django's cache to a broker, for each form of its address."""

from typing import Any

import redis
import redis.sentinel

from realtime.core.broker_url import BrokerKind, parse_single_url


class CachePool(redis.ConnectionPool):
    """The connection pool of Django's cache: `OPTIONS["pool_class"]` if `REDIS_URL` names sentinels."""

    @classmethod
    def from_url(cls, url: str, **kwargs: Any) -> Any:
        """Connections to the primary that the sentinels of `url` name."""
        address = parse_single_url(url)
        if address.kind is BrokerKind.SINGLE:
            return redis.ConnectionPool.from_url(address.url, **kwargs)
        sentinels = dict(address.sentinel_options)
        sentinel = redis.sentinel.Sentinel(address.nodes, sentinel_kwargs=sentinels)  # type: ignore[no-untyped-call] # redis-py has no types for it
        options = {**kwargs, **address.options, "ssl": address.is_tls}
        return redis.sentinel.SentinelConnectionPool(address.master, sentinel, **options)  # type: ignore[no-untyped-call] # redis-py has no types for it
