"""Reading the clock, for the shells: the core is given the time."""

from datetime import UTC, datetime


def utc_now_text() -> str:
    """The time of day on the wire: ISO 8601 in UTC, milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
