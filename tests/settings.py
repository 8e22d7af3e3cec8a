"""The project's settings with three differences: what is sent is checked as with DEBUG, a password costs nothing to hash,
and static files are collected elsewhere and not compressed.

The real hasher takes some 0.4 s, by design, and the suite signs in hundreds of times. That it is the one in use
is checked where the project is started with its own settings (tests/smoke).
"""

import os

# The suite is development; the servers that it starts are told by their own environment.
os.environ.setdefault("DEBUG", "1")

from rockstar_site.settings import *  # noqa: F403
from rockstar_site.settings import BASE_DIR
from rockstar_site.settings import REALTIME as OWN

REALTIME = {**OWN, "CHECK_CONTRACTS": True}

STATIC_ROOT = BASE_DIR / "var" / "static-tests"
SERVESTATIC_USE_BROTLI = SERVESTATIC_USE_GZIP = SERVESTATIC_USE_ZSTD = False

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
