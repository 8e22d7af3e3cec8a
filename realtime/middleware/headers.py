"""Reading headers of a scope."""

from realtime.types import Scope


def header_values(scope: Scope, name: bytes) -> list[str]:
    """All values of the header `name` (lower case), in order."""
    return [value.decode("latin-1") for key, value in scope["headers"] if key.lower() == name]
