"""The project's settings, with these differences:

- values are checked against their declared types, also in servers that the tests start with `DEBUG=0`;
- hashing a password costs nothing;
- static files are collected into a folder of the tests, and are not compressed.

The real hasher takes some 0.4 s, by design, and the suite signs in hundreds of times. tests/smoke starts the project
with its own settings and checks that the real hasher is in use.
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
