"""Stands in for websocat where it is not installed: lines in, messages out, until all is quiet after the input."""

import sys
import time

from websockets.sync.client import connect

FIRST_S = 10.0
QUIET_S = 0.4
# A stream is never quiet.
LONGEST_S = 1.5


def main(url: str, *options: str) -> None:
    """`websocat URL [-H "Name: value"]`."""
    headers = dict(option.split(": ", 1) for option in options if option != "-H")
    with connect(url, additional_headers=headers) as socket:
        for line in sys.stdin:
            socket.send(line.rstrip("\n"))
        ends_s = time.monotonic() + LONGEST_S
        wait_s = FIRST_S
        while time.monotonic() < ends_s:
            try:
                message = socket.recv(wait_s)
            except TimeoutError:
                return
            wait_s = QUIET_S
            sys.stdout.write(f"{message!s}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
