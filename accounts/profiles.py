"""A short-lived cache of profiles, because all members of a room ask for the same ones."""

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from time import monotonic
from typing import Any, NamedTuple

from cachetools import TTLCache

# Seconds that a cached profile is valid, and how many are kept.
PROFILE_TTL_S = 1.0
PROFILES_MAX = 10_000

Profile = dict[str, Any]


class Known(NamedTuple):
    """The result of a lookup: a profile, or None if there is none."""

    profile: Profile | None


class Profiles:
    """A bounded cache of profiles, for one event loop. When it is full, the least recently used one goes.

    Concurrent callers that ask for the same profile share one query. `clock` returns seconds.
    """

    def __init__(
        self,
        ttl_s: float = PROFILE_TTL_S,
        size: int = PROFILES_MAX,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._known: TTLCache[Hashable, Known] = TTLCache(size, ttl_s, clock)
        self._loading: dict[Hashable, asyncio.Task[Profile | None]] = {}

    def get(self, key: Hashable) -> Known | None:
        """Return the valid entry of `key`; None if it has to be looked up."""
        return self._known.get(key)

    def put(self, key: Hashable, profile: Profile | None) -> None:
        """Store a profile that was looked up just now."""
        self._known[key] = Known(profile)

    async def load(
        self, key: Hashable, look_up: Callable[[], Coroutine[Any, Any, Profile | None]]
    ) -> Profile | None:
        """Look up a profile, once for all concurrent callers, and store it.

        Raises the errors of `look_up`.
        """
        loading = self._loading.get(key)
        if loading is None:
            loading = self._loading[key] = asyncio.get_running_loop().create_task(look_up())
            loading.add_done_callback(lambda done: self._loaded(key, done))
        # Cancelling one caller must not cancel the query of the others.
        return await asyncio.shield(loading)

    def forget(self, key: Hashable) -> None:
        """Drop a profile that has changed.

        A running query may return the old one, so its result is not stored.
        """
        self._known.pop(key, None)
        self._loading.pop(key, None)

    def _loaded(self, key: Hashable, loading: "asyncio.Task[Profile | None]") -> None:
        # Reading the exception marks it as retrieved, in case no caller waits any more.
        is_good = not loading.cancelled() and loading.exception() is None
        if self._loading.get(key) is loading:
            del self._loading[key]
            if is_good:
                self.put(key, loading.result())
