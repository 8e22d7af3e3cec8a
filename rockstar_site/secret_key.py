"""The key that signs sessions and tokens. A given key is checked; in development a missing one is created."""

import contextlib
import os
import secrets
import tempfile
from pathlib import Path

MIN_CHARS = 32
# A random key of this length has more different characters; a typed one may not.
MIN_DIFFERENT_CHARS = 10
HOW_TO_MAKE_ONE = "Make one: python3 -c 'import secrets; print(secrets.token_urlsafe(48))'"


def read_secret_key(given: str, kept_at: Path, *, debug: bool | None) -> tuple[str, str]:
    """Return the key to use and the error of the given one. One of the two is "".

    If `debug` is None, its variable was invalid: checks that depend on it are skipped and no key is created.
    """
    fault = _fault_of(given, debug=debug)
    if fault:
        return "", fault
    if given or debug is None:
        return given, ""
    try:
        return _own_secret_key(kept_at), ""
    except OSError as error:
        return (
            "",
            f"None is set, and none can be kept in {kept_at.parent.name}/{kept_at.name}: {error.strerror}.",
        )


def _fault_of(key: str, *, debug: bool | None) -> str:
    if not key:
        needed = f"Required with DEBUG=0. {HOW_TO_MAKE_ONE} For development set DEBUG=1."
        return needed if debug is False else ""
    if len(key) < MIN_CHARS:
        return f"Expected at least {MIN_CHARS} characters, received {len(key)}. {HOW_TO_MAKE_ONE}"
    # A text consists of a repeated pattern if it occurs inside its own double, other than at the start or the
    # end.
    is_weak = len(set(key)) < MIN_DIFFERENT_CHARS or key in (key + key)[1:-1]
    if is_weak and debug is False:
        return f"Expected a random text, received one that can be guessed. {HOW_TO_MAKE_ONE}"
    return ""


def _own_secret_key(path: Path) -> str:
    """Return a key that is created at the first start and stored for its owner only. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        # The file is complete before it gets its name. If several processes start together, all use the key
        # of one.
        descriptor, temporary = tempfile.mkstemp(dir=path.parent)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_urlsafe(48))
        try:
            # If the file exists, another process was first. Its key is read below.
            with contextlib.suppress(FileExistsError):
                os.link(temporary, path)
        finally:
            Path(temporary).unlink()
    return path.read_text().strip()
