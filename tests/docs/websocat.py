"""Stands in for websocat where it is not installed: lines in, messages out, until the input ends."""

import sys
import threading

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect


def main(url: str, *options: str) -> None:
    """`websocat URL [-H "Name: value"]`."""
    headers = dict(option.split(": ", 1) for option in options if option != "-H")
    with connect(url, additional_headers=headers) as socket:
        threading.Thread(target=_show, args=(socket,), daemon=True).start()
        for line in sys.stdin:
            socket.send(line.rstrip("\n"))


def _show(socket: ClientConnection) -> None:
    try:
        for message in socket:
            sys.stdout.write(f"{message!s}\n")
            sys.stdout.flush()
    except ConnectionClosed:
        return


if __name__ == "__main__":
    main(*sys.argv[1:])
