"""Bounds on open connections and on failed handshakes, by key."""

from collections.abc import Hashable

from realtime.core.token_bucket import TokenBucket

# Addresses whose failures are remembered; beyond it idle ones go, then the oldest, so many at a time.
ADDRESSES_MAX = 10_000
FORGOTTEN_AT_ONCE = 1_000


class ConnectionQuota:
    """Counts open connections by key. It knows which connection holds which places."""

    def __init__(self) -> None:
        self._taken: dict[Hashable, int] = {}
        self._held: dict[str, list[Hashable]] = {}

    def count(self, key: Hashable) -> int:
        """The number of places of `key` that are taken now."""
        return self._taken.get(key, 0)

    def take(self, holder: str, key: Hashable, limit: int) -> bool:
        """Take a place of `key`; False if `limit` places are taken (0: no limit). `holder`
        is a connection's id."""
        count = self._taken.get(key, 0)
        if limit and count >= limit:
            return False
        self._taken[key] = count + 1
        held = self._held.get(holder)
        if held is None:
            self._held[holder] = [key]
        else:
            held.append(key)
        return True

    def release(self, holder: str) -> None:
        """Give back all places of a connection."""
        for key in self._held.pop(holder, ()):
            left = self._taken[key] - 1
            if left:
                self._taken[key] = left
            else:
                del self._taken[key]


class HandshakeLimiter:
    """Bounds failed handshakes, with a token bucket for each address. Times are monotonic seconds."""

    def __init__(self, rate_per_s: float, burst: int) -> None:
        self._rate_per_s = rate_per_s
        self._burst = burst
        self._buckets: dict[str, TokenBucket] = {}
        self._blocked_until_s: dict[str, float] = {}

    def wait_s(self, address: str, now_s: float) -> float:
        """0.0 if the address may connect now, otherwise the seconds until it may."""
        until_s = self._blocked_until_s.get(address)
        if until_s is None:
            return 0.0
        if until_s <= now_s:
            del self._blocked_until_s[address]
            return 0.0
        return until_s - now_s

    def failed(self, address: str, now_s: float) -> None:
        """Count one failed handshake."""
        if self._rate_per_s <= 0:
            return
        if len(self._buckets) >= ADDRESSES_MAX and address not in self._buckets:
            self._forget_idle(now_s)
        bucket = self._buckets.setdefault(address, TokenBucket(self._rate_per_s, self._burst, now_s))
        if wait_s := bucket.take(now_s):
            self._blocked_until_s[address] = now_s + max(wait_s, 1.0)

    def _forget_idle(self, now_s: float) -> None:
        self._buckets = {key: bucket for key, bucket in self._buckets.items() if not bucket.is_full(now_s)}
        # All fail at once: the oldest give way, so that many addresses do not unblock each other.
        for address in list(self._buckets)[: max(len(self._buckets) - ADDRESSES_MAX + FORGOTTEN_AT_ONCE, 0)]:
            del self._buckets[address]
        self._blocked_until_s = {
            key: until_s for key, until_s in self._blocked_until_s.items() if key in self._buckets
        }
