"""Another wall clock for a program of a test: a small library in C, where the machine has a compiler.

Debian's libfaketime does not work with Redis: it allocates memory before jemalloc, which asks for the time, is ready.
"""

import atexit
import os
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

_SOURCE = Path(__file__).with_name("clock.c")


def has_clocks() -> bool:
    """Whether programs can have other clocks here."""
    return _library() is not None


def environment(ahead_s: int) -> dict[str, str] | None:
    """The environment of a program whose clock is `ahead_s` seconds ahead; None, the usual one, for 0."""
    if not ahead_s:
        return None
    library = _library()
    assert library is not None, "another clock needs a C compiler"
    return os.environ | {"LD_PRELOAD": str(library), "CLOCK_AHEAD_S": str(ahead_s)}


@cache
def _library() -> Path | None:
    compiler = shutil.which("cc")
    if compiler is None:
        return None
    folder = tempfile.mkdtemp(prefix="rockstar-clock-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    library = Path(folder) / "clock.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-o", str(library), str(_SOURCE)], check=True)
    return library
