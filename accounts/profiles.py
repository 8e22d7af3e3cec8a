"""Profiles as they were a moment ago: who is asked for once is asked for again by everybody in the room."""

from collections.abc import Hashable
from typing import Any, NamedTuple

# How long a profile may be behind the database, and how many are kept.
PROFILE_TTL_S = 1.0
PROFILES_MAX = 10_000


class Known(NamedTuple):
    """A profile, or that there is none; good until a monotonic time, in seconds."""

    profile: dict[str, Any] | None
    until_s: float


class Profiles:
    """A bounded memory of profiles; the time is the caller's."""

    def __init__(self, ttl_s: float = PROFILE_TTL_S, size: int = PROFILES_MAX) -> None:
        self._ttl_s = ttl_s
        self._size = size
        self._known: dict[Hashable, Known] = {}

    def get(self, key: Hashable, now_s: float) -> Known | None:
        """What is known of `key` now; None where it has to be looked up."""
        known = self._known.get(key)
        return known if known is not None and now_s < known.until_s else None

    def put(self, key: Hashable, profile: dict[str, Any] | None, now_s: float) -> None:
        """Keep what was looked up just now."""
        if len(self._known) >= self._size:
            self._known.clear()
        self._known[key] = Known(profile, now_s + self._ttl_s)

    def forget(self, key: Hashable) -> None:
        """It has changed."""
        self._known.pop(key, None)
