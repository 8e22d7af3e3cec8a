"""Programs of the machine that some tests use where they are there. None is brought along."""

import os
import shutil
from pathlib import Path

_FAKETIME = "lib/*/faketime/libfaketime.so.1"


def find_redis() -> Path | None:
    """A Redis (Debian: redis-server): $REDIS_SERVER, or one on PATH. By default the suite's brokers are Valkeys."""
    found = os.environ.get("REDIS_SERVER") or shutil.which("redis-server")
    return Path(found) if found else None


def find_faketime() -> Path | None:
    """The library that gives a program another clock (Debian: libfaketime): $LIBFAKETIME, or where Debian has it."""
    if named := os.environ.get("LIBFAKETIME"):
        return Path(named)
    return next(iter(Path("/usr").glob(_FAKETIME)), None)
