"""Connections to a broker, for each form of its address.

Under Sentinel a new connection asks the sentinels for the primary. A primary that became a replica is noticed at the
first write; `locate` finds it without one.
"""

from typing import Any

import redis
import redis.sentinel
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel, SentinelConnectionPool
from redis.backoff import NoBackoff
from redis.maint_notifications import MaintNotificationsConfig

from realtime.core.broker_url import BrokerAddress, BrokerKind, parse_broker_url, require_served

MAX_CONNECTIONS = 16


class _PrimaryPool(SentinelConnectionPool, BlockingConnectionPool):
    """Connections to the primary; a call waits for one that is free."""


class RedisClient:
    """Commands for the primary of a broker. Nothing is repeated by itself."""

    def __init__(self, redis: Redis, sentinel: Sentinel | None = None, master: str = "") -> None:
        self.redis = redis
        self._sentinel = sentinel
        self._master = master
        self._place: tuple[str, int] | None = None
        self._is_moving = False

    async def locate(self) -> tuple[str, int] | None:
        """Return host and port of the primary as the sentinels name it; None without sentinels.

        After a change, connections to the former primary are closed: until it becomes a replica it would take
        publications that will be lost. Raises RedisError or OSError if no sentinel knows a primary.
        """
        if self._sentinel is None:
            return None
        host, port = await self._sentinel.discover_master(self._master)
        is_other = self._place is not None and self._place != (host, port)
        if is_other or self._is_moving:
            # Once more at the next call: those that are in use now come back to the pool.
            self._is_moving = is_other
            await self.redis.connection_pool.disconnect(inuse_connections=False)
        self._place = (host, port)
        return self._place

    async def close(self) -> None:
        """Close all connections."""
        await self.redis.aclose(close_connection_pool=True)
        if self._sentinel is not None:
            await self._sentinel.aclose()


def make_client(address: BrokerAddress, *, deadline_s: float) -> RedisClient:
    """Return a client whose connects, reads and waits for a free connection end after `deadline_s` seconds.

    It makes up to MAX_CONNECTIONS. Raises BrokerUrlError for a kind of broker that cannot be used.
    """
    require_served(address)
    arguments: dict[str, Any] = {
        "max_connections": MAX_CONNECTIONS,
        "timeout": deadline_s,
        "socket_timeout": deadline_s,
        "socket_connect_timeout": deadline_s,
        "retry": Retry(NoBackoff(), 0),
        # While these are on, redis-py 8 does not notice that an idle connection has been closed.
        "maint_notifications_config": MaintNotificationsConfig(enabled=False),
    }
    if address.kind is BrokerKind.SINGLE:
        return RedisClient(Redis.from_pool(BlockingConnectionPool.from_url(address.url, **arguments)))
    sentinel_options = {**address.sentinel_options, "retry": Retry(NoBackoff(), 0)}
    sentinel = Sentinel(address.nodes, sentinel_kwargs=sentinel_options)  # type: ignore[no-untyped-call] # redis-py has no types for it
    options = {**arguments, **address.options, "ssl": address.is_tls}
    pool = _PrimaryPool(address.master, sentinel, **options)  # type: ignore[no-untyped-call] # redis-py has no types for it
    return RedisClient(Redis.from_pool(pool), sentinel, address.master)


class CachePool(redis.ConnectionPool):
    """The connection pool of Django's cache: `OPTIONS["pool_class"]` if `REDIS_URL` names sentinels."""

    @classmethod
    def from_url(cls, url: str, **kwargs: Any) -> Any:
        """Connections to the primary that the sentinels of `url` name."""
        address = require_served(parse_broker_url(url))
        if address.kind is BrokerKind.SINGLE:
            return redis.ConnectionPool.from_url(address.url, **kwargs)
        sentinels = dict(address.sentinel_options)
        sentinel = redis.sentinel.Sentinel(address.nodes, sentinel_kwargs=sentinels)  # type: ignore[no-untyped-call] # redis-py has no types for it
        options = {**kwargs, **address.options, "ssl": address.is_tls}
        return redis.sentinel.SentinelConnectionPool(address.master, sentinel, **options)  # type: ignore[no-untyped-call] # redis-py has no types for it
