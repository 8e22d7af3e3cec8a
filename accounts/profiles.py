"""Profiles as they were a moment ago: who is asked for once is asked for again by everybody in the room."""

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from time import monotonic
from typing import Any, NamedTuple

# How long a profile may be behind the database, and how many are kept.
PROFILE_TTL_S = 1.0
PROFILES_MAX = 10_000

Profile = dict[str, Any]


class Known(NamedTuple):
    """A profile, or that there is none; good until a monotonic time, in seconds."""

    profile: Profile | None
    until_s: float


class Profiles:
    """A bounded memory of profiles. Whoever asks for one that is being looked up waits for the same look."""

    def __init__(self, ttl_s: float = PROFILE_TTL_S, size: int = PROFILES_MAX) -> None:
        self._ttl_s = ttl_s
        self._size = size
        self._known: dict[Hashable, Known] = {}
        self._loading: dict[Hashable, asyncio.Task[Profile | None]] = {}

    def get(self, key: Hashable, now_s: float) -> Known | None:
        """What is known of `key` now; None where it has to be looked up."""
        known = self._known.get(key)
        return known if known is not None and now_s < known.until_s else None

    def put(self, key: Hashable, profile: Profile | None, now_s: float) -> None:
        """Keep what was looked up just now."""
        if len(self._known) >= self._size:
            self._known.clear()
        self._known[key] = Known(profile, now_s + self._ttl_s)

    async def load(
        self, key: Hashable, look_up: Callable[[], Coroutine[Any, Any, Profile | None]]
    ) -> Profile | None:
        """Look it up, once for all who ask meanwhile, and keep it; raises what `look_up` raises."""
        loading = self._loading.get(key)
        if loading is None:
            loading = self._loading[key] = asyncio.get_running_loop().create_task(look_up())
            loading.add_done_callback(lambda done: self._loaded(key, done))
        # One of those who wait may leave; the others go on waiting.
        return await asyncio.shield(loading)

    def forget(self, key: Hashable) -> None:
        """It has changed; what is being looked up may be from before."""
        self._known.pop(key, None)
        self._loading.pop(key, None)

    def _loaded(self, key: Hashable, loading: "asyncio.Task[Profile | None]") -> None:
        # The outcome of a failed look is for those who wait, if any still do.
        is_good = not loading.cancelled() and loading.exception() is None
        if self._loading.get(key) is loading:
            del self._loading[key]
            if is_good:
                self.put(key, loading.result(), monotonic())
