"""The used idempotency keys of one tenant, in a separate pool for each publisher."""

import hashlib
from collections import OrderedDict
from typing import NamedTuple

from realtime.core.identity import UserId
from realtime.core.position import Position
from realtime.core.shares import Shares

# A user's id; None stands for all users who are not signed in.
PublisherId = UserId | None


class Used(NamedTuple):
    """The use of a key. `used_s` is monotonic seconds."""

    fingerprint: str
    position: Position
    used_s: float


class UsedKeys:
    """Keys by publisher, oldest first; each is kept for `ttl_s` seconds. A pool that is too
    large drops its own oldest."""

    def __init__(self, ttl_s: float) -> None:
        self._ttl_s = ttl_s
        # In the order in which `sweep` visits them.
        self._pools: OrderedDict[PublisherId, OrderedDict[bytes, Used]] = OrderedDict()
        self._shares: Shares[PublisherId] = Shares()

    def __len__(self) -> int:
        return self._shares.total

    def find(self, publisher: PublisherId, name: bytes, now_s: float) -> Used | None:
        """The use of the key by `publisher`, unless it has expired."""
        pool = self._pools.get(publisher)
        used = None if pool is None else pool.get(name)
        return None if used is None or self._is_over(used, now_s) else used

    def remember(self, publisher: PublisherId, name: bytes, used: Used) -> None:
        """Record a use of the key; an expired use is replaced."""
        pool = self._pools.setdefault(publisher, OrderedDict())
        pool.pop(name, None)
        pool[name] = used
        self._shares.set(publisher, len(pool))

    def drop_one(self) -> None:
        """Drop the oldest key of the publisher with the most keys; there must be one."""
        publisher = self._shares.largest()
        self._drop_oldest(publisher, self._pools[publisher])

    def sweep(self, now_s: float, work: int) -> int:
        """Drop expired keys, pool by pool; returns the steps taken, about `work` at most."""
        done = 0
        for _ in range(min(work, len(self._pools))):
            publisher, pool = next(iter(self._pools.items()))
            self._pools.move_to_end(publisher)
            done += 1
            while pool and done < work and self._is_over(next(iter(pool.values())), now_s):
                self._drop_oldest(publisher, pool)
                done += 1
            if done >= work:
                break
        return done

    def _drop_oldest(self, publisher: PublisherId, pool: OrderedDict[bytes, Used]) -> None:
        pool.popitem(last=False)
        self._shares.set(publisher, len(pool))
        if not pool:
            del self._pools[publisher]

    def _is_over(self, used: Used, now_s: float) -> bool:
        return now_s - used.used_s >= self._ttl_s


def key_name(topic: str, idempotency_key: str) -> bytes:
    """The name of a key for one topic, of fixed length."""
    text = f"{len(topic)}:{topic}{idempotency_key}"
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
