"""Collecting static files when a server starts: once for all processes, and only if something has changed."""

import fcntl
import hashlib
from pathlib import Path

from django.conf import settings
from django.contrib.staticfiles.finders import get_finders
from django.core.management import call_command

STAMP = ".collected"


def collect_static() -> None:
    """Collect into STATIC_ROOT, under a lock. Raises OSError if it cannot be written."""
    root = Path(settings.STATIC_ROOT)
    root.mkdir(parents=True, exist_ok=True)
    with (root / f"{STAMP}.lock").open("w") as lock:
        # Two collections at the same time would overwrite each other's files.
        fcntl.flock(lock, fcntl.LOCK_EX)
        stamp, fingerprint = root / STAMP, _fingerprint()
        if stamp.exists() and stamp.read_text() == fingerprint:
            return
        call_command("collectstatic", interactive=False, verbosity=0)
        stamp.write_text(fingerprint)


def _fingerprint() -> str:
    digest = hashlib.sha256(str(settings.STORAGES["staticfiles"]).encode())
    for finder in get_finders():
        for path, storage in finder.list([]):
            digest.update(
                f"{path}\0{storage.size(path)}\0{storage.get_modified_time(path).timestamp()}\0".encode()
            )
    return digest.hexdigest()
