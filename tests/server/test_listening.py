"""The addresses on which a server listens: the same for one worker and for many."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from realtime.server.listening import open_sockets
from realtime.server.workers import ending
from tests.servers.ports import free_port


@contextmanager
def listening(host: str) -> Iterator[tuple[list[socket.socket], int]]:
    port = free_port()
    sockets = open_sockets(host, port)
    for each in sockets:
        each.listen()
    yield sockets, port
    for each in sockets:
        each.close()


def peer_at(sockets: list[socket.socket], address: str, port: int) -> str:
    """Connect to `address`; the address of the client as the server sees it."""
    with socket.create_connection((address, port), timeout=5) as client:
        [listener] = [each for each in sockets if each.family == client.family]
        accepted, peer = listener.accept()
        accepted.close()
        return str(peer[0])


def test_all_addresses_of_both_families() -> None:
    with listening("::") as (sockets, port):
        assert peer_at(sockets, "127.0.0.1", port) == "127.0.0.1"
        assert peer_at(sockets, "::1", port) == "::1"


@pytest.mark.parametrize(
    ("host", "address"), [("127.0.0.1", "127.0.0.1"), ("::1", "::1"), ("0.0.0.0", "127.0.0.1")]
)
def test_one_address(host: str, address: str) -> None:
    with listening(host) as (sockets, port):
        assert peer_at(sockets, address, port) == address
        other = "::1" if address == "127.0.0.1" else "127.0.0.1"
        with pytest.raises(OSError, match="refused"):
            socket.create_connection((other, port), timeout=5)


def test_a_name_is_all_of_its_addresses() -> None:
    with listening("localhost") as (sockets, port):
        assert peer_at(sockets, "127.0.0.1", port) == "127.0.0.1"


def test_a_port_in_use_leaves_nothing_open() -> None:
    with listening("0.0.0.0") as (_, port):
        with pytest.raises(OSError, match="in use"):
            open_sockets("::", port)
        socket.create_server(("::1", port), family=socket.AF_INET6).close()


@pytest.mark.parametrize("host", ["no such host", "203.0.113.7", "x" * 300])
def test_what_is_no_address_of_this_machine(host: str) -> None:
    with pytest.raises((OSError, UnicodeError)):
        open_sockets(host, free_port())


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (0, "ended with exit code 0"),
        (3, "ended with exit code 3"),
        (-9, "was ended by signal 9 (SIGKILL)"),
        (-11, "was ended by signal 11 (SIGSEGV)"),
        (-250, "was ended by signal 250 (unknown)"),
    ],
)
def test_how_a_worker_ended(code: int, words: str) -> None:
    assert ending(code) == words
