"""Free ports."""

import itertools
import os
import socket

# Below 32768, where Linux takes the ports of outgoing connections from: none of those gets a port in between.
FIRST, COUNT = 10_000, 20_000
# Processes of the suite begin far from each other, and none gives the same port twice.
_numbers = itertools.count(os.getpid() * 131)


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens on, and that no other test gets."""
    for number in itertools.islice(_numbers, COUNT):
        port = FIRST + number % COUNT
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
            # As servers do: connections that have just ended are no hindrance.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                listener.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("no port is free")
