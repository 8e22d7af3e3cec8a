"""Reads the clock for code that does I/O; `core` gets the time as an argument."""

from functools import lru_cache
from time import gmtime, strftime, time_ns


def utc_now_text() -> str:
    """The time of day as it is sent to clients: ISO 8601 in UTC, with milliseconds."""
    second, ms = divmod(time_ns() // 1_000_000, 1000)
    return f"{_second_text(second)}.{ms:03}Z"


@lru_cache(maxsize=1)
def _second_text(second: int) -> str:
    """Cached, because every publication and every `welcome` needs it and it changes once a second."""
    return strftime("%Y-%m-%dT%H:%M:%S", gmtime(second))
