"""The memory of this process."""

import os
from pathlib import Path

_STATM = Path("/proc/self/statm")
_MEBIBYTE = 1024 * 1024


def resident_mb() -> float | None:
    """Return the resident memory in MiB; None on systems without /proc."""
    try:
        pages = int(_STATM.read_text().split()[1])
    except OSError:
        return None
    return round(pages * os.sysconf("SC_PAGE_SIZE") / _MEBIBYTE, 1)
