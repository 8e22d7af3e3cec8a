"""How many files a process may open: each socket is one, and beyond the limit clients are closed without an answer."""

import resource
from math import inf

# Files that a process needs besides its sockets: the database, logs, the broker.
SPARE_FILES = 200


def files_needed(max_connections: int) -> int:
    """Return what MAX_CONNECTIONS may need: open sockets, and as many connections that are none yet."""
    return 2 * max_connections + SPARE_FILES


def files_allowed() -> float:
    """Return how many files a server may open here, after `allow_files`; `inf` without a limit."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return inf if hard == resource.RLIM_INFINITY else hard


def allow_files(needed: int) -> None:
    """Raise the limit of this process, and of those that it starts, to `needed`, as far as the system lets it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    least = int(min(needed, files_allowed()))
    if soft != resource.RLIM_INFINITY and soft < least:
        resource.setrlimit(resource.RLIMIT_NOFILE, (least, hard))


def files_advice(needed: int) -> str:
    """Return what to do if fewer than `needed` files may be opened; "" if all may."""
    if files_allowed() >= needed:
        return ""
    return f"Raise it to {needed} (LimitNOFILE= in systemd), or lower REALTIME_MAX_CONNECTIONS."
