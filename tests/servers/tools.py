"""Programs of the machine that some tests use where they are there. None is brought along."""

import os
import shutil
from pathlib import Path


def find_redis() -> Path | None:
    """A Redis (Debian: redis-server): $REDIS_SERVER, or one on PATH. By default the suite's brokers are Valkeys."""
    found = os.environ.get("REDIS_SERVER") or shutil.which("redis-server")
    return Path(found) if found else None
