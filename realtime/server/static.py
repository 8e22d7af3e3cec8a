"""Collecting static files when a server starts: once for all processes, and only if something has changed."""

import fcntl
import hashlib
import inspect
from collections.abc import Iterator
from pathlib import Path

from django.conf import settings
from django.contrib.staticfiles.finders import get_finders
from django.core.files.storage import storages
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
    for name, size_bytes, modified_s in [*_sources(), *_code()]:
        digest.update(f"{name}\0{size_bytes}\0{modified_s}\0".encode())
    return digest.hexdigest()


def _sources() -> Iterator[tuple[str, int, float]]:
    for finder in get_finders():
        for path, storage in finder.list([]):
            yield path, storage.size(path), storage.get_modified_time(path).timestamp()


def _code() -> Iterator[tuple[str, int, float]]:
    """Yield the modules beside the storage's class: their code makes the collected files."""
    module = Path(inspect.getfile(type(storages["staticfiles"])))
    for path in sorted(module.parent.glob("*.py")):
        yield path.name, path.stat().st_size, path.stat().st_mtime
