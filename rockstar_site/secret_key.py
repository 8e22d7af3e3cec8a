"""The key that signs sessions and tokens: judged where it is given, made and kept where development has none."""

import os
import secrets
import tempfile
from pathlib import Path

MIN_CHARS = 32
# A random key of that length has more; one that somebody typed may not.
MIN_DIFFERENT_CHARS = 10
HOW_TO_MAKE_ONE = "Make one: python3 -c 'import secrets; print(secrets.token_urlsafe(48))'"


def read_secret_key(given: str, kept_at: Path, *, debug: bool | None) -> tuple[str, str]:
    """The key to use, and what is wrong with what was given ("" where nothing is): one of the two is empty.

    `debug` None: nobody knows whether this is development, and nothing that depends on it is judged or made.
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
    # A text that is found again in its own double, moved by less than itself, is a pattern repeated.
    is_weak = len(set(key)) < MIN_DIFFERENT_CHARS or key in (key + key)[1:-1]
    if is_weak and debug is False:
        return f"Expected a random text, received one that can be guessed. {HOW_TO_MAKE_ONE}"
    return ""


def _own_secret_key(path: Path) -> str:
    """A key made at the first start and kept beside the database, for its owner only. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        # Written whole before it has its name: of several that start at once, one makes the key of all.
        descriptor, temporary = tempfile.mkstemp(dir=path.parent)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_urlsafe(48))
        try:
            os.link(temporary, path)
        except FileExistsError:
            pass
        finally:
            Path(temporary).unlink()
    return path.read_text().strip()
