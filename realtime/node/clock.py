"""Reading the clock, for the shells: the core is given the time."""

from functools import lru_cache
from time import gmtime, strftime, time_ns


def utc_now_text() -> str:
    """The time of day on the wire: ISO 8601 in UTC, milliseconds."""
    second, ms = divmod(time_ns() // 1_000_000, 1000)
    return f"{_second_text(second)}.{ms:03}Z"


@lru_cache(maxsize=1)
def _second_text(second: int) -> str:
    """Made once a second: every publication and every `welcome` has one."""
    return strftime("%Y-%m-%dT%H:%M:%S", gmtime(second))
