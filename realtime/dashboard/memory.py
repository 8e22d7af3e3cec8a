"""How much memory this process holds."""

import os
from pathlib import Path

_STATM = Path("/proc/self/statm")
_MEBIBYTE = 1024 * 1024


def resident_mb() -> float | None:
    """Resident memory in MiB; None on systems without /proc. Reads no disk."""
    try:
        pages = int(_STATM.read_text().split()[1])
    except OSError:
        return None
    return round(pages * os.sysconf("SC_PAGE_SIZE") / _MEBIBYTE, 1)
