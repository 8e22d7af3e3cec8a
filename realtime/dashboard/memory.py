"""The memory of this process, as the live page shows it."""

from realtime.node.memory import resident_bytes

_MEBIBYTE = 1024 * 1024


def resident_mb() -> float | None:
    """Return the resident memory in MiB; None on systems without /proc."""
    size = resident_bytes()
    return None if size is None else round(size / _MEBIBYTE, 1)
