"""The opening handshake without I/O: every fault by table."""

import base64
import json

import pytest

from realtime.protocol.handshake import (
    HandshakeError,
    accept_key,
    encode_answer,
    encode_upgrade,
    offered_subprotocols,
    read_request,
    refusal_body,
)
from realtime.protocol.http import HEAD_MAX_BYTES

# RFC 6455 section 1.3.
KEY = b"dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
GOOD = {
    b"host": [b"acme.localhost"],
    b"connection": [b"Upgrade"],
    b"upgrade": [b"websocket"],
    b"sec-websocket-version": [b"13"],
    b"sec-websocket-key": [KEY],
}


def headers(**changed: list[bytes]) -> list[tuple[bytes, bytes]]:
    made = GOOD | {name.replace("_", "-").encode(): values for name, values in changed.items()}
    return [(name, value) for name, values in made.items() for value in values]


def test_the_example_of_the_rfc() -> None:
    assert accept_key(headers()) == ACCEPT


@pytest.mark.parametrize(
    "connection", [[b"upgrade"], [b"UPGRADE"], [b"keep-alive, Upgrade"], [b"close", b"upgrade"]]
)
@pytest.mark.parametrize("upgrade", [[b"WebSocket"], [b"h2c, websocket"], [b"WEBSOCKET"]])
def test_tokens_in_any_case_and_in_lists(connection: list[bytes], upgrade: list[bytes]) -> None:
    assert accept_key(headers(connection=connection, upgrade=upgrade)) == ACCEPT


FAULTS = [
    (400, {"connection": []}),
    (400, {"connection": [b"keep-alive"]}),
    (400, {"connection": [b"upgraded"]}),
    (426, {"upgrade": []}),
    (426, {"upgrade": [b"h2c"]}),
    (426, {"upgrade": [b"websockets"]}),
    (400, {"upgrade": [b"websocket", b"websocket"]}),
    (400, {"upgrade": [b"h2c", b"websocket"]}),
    (400, {"content_length": [b"5"]}),
    (400, {"content_length": [b"00"]}),
    (400, {"transfer_encoding": [b"chunked"]}),
    (400, {"sec_websocket_version": []}),
    (426, {"sec_websocket_version": [b"8"]}),
    (426, {"sec_websocket_version": [b"13, 8"]}),
    (426, {"sec_websocket_version": [b"013"]}),
    (400, {"sec_websocket_version": [b"13", b"13"]}),
    (400, {"sec_websocket_key": []}),
    (400, {"sec_websocket_key": [b""]}),
    (400, {"sec_websocket_key": [KEY, KEY]}),
    (400, {"sec_websocket_key": [b"not base64!"]}),
    (400, {"sec_websocket_key": [KEY[:-2]]}),
    (400, {"sec_websocket_key": [KEY[:4] + b" " + KEY[4:]]}),
    (400, {"sec_websocket_key": [b"\xff" * 24]}),
    (400, {"sec_websocket_key": [base64.b64encode(bytes(15))]}),
    (400, {"sec_websocket_key": [base64.b64encode(bytes(17))]}),
]


@pytest.mark.parametrize(("status", "changed"), FAULTS)
def test_a_fault_in_the_headers(status: int, changed: dict[str, list[bytes]]) -> None:
    with pytest.raises(HandshakeError) as caught:
        accept_key(headers(**changed))
    assert caught.value.status == status
    if "sec_websocket_version" in changed:
        assert (b"sec-websocket-version", b"13") in caught.value.headers
    if status == 426:
        assert (b"upgrade", b"websocket") in caught.value.headers


def test_reads_a_request() -> None:
    target, read = read_request(b"GET /ws/?a=b HTTP/1.1\r\nHost:  acme \r\nX-Odd: a:b \r\nX-Empty:\r\n\r\n")
    assert target == b"/ws/?a=b"
    assert read == [(b"host", b"acme"), (b"x-odd", b"a:b"), (b"x-empty", b"")]


@pytest.mark.parametrize(
    "request_line",
    [b"POST / HTTP/1.1", b"get / HTTP/1.1", b"GET / HTTP/1.0", b"GET /", b"GET / / HTTP/1.1", b""],
)
def test_a_fault_in_the_request_line_is_400(request_line: bytes) -> None:
    with pytest.raises(HandshakeError) as caught:
        read_request(request_line + b"\r\nHost: acme\r\n\r\n")
    assert caught.value.status == 400


@pytest.mark.parametrize("line", [b"no colon", b": no name", b"Host : acme", b" folded: line"])
def test_a_malformed_header_is_400(line: bytes) -> None:
    with pytest.raises(HandshakeError) as caught:
        read_request(b"GET / HTTP/1.1\r\n" + line + b"\r\n\r\n")
    assert caught.value.status == 400


def test_too_many_headers_are_431() -> None:
    start = b"GET / HTTP/1.1\r\nX: "
    end = b"\r\n\r\n"
    most = start + b"x" * (HEAD_MAX_BYTES - len(start + end)) + end
    assert len(read_request(most).headers) == 1
    with pytest.raises(HandshakeError) as caught:
        read_request(most.replace(b"x", b"xx", 1))
    assert caught.value.status == 431


def test_subprotocols_in_the_clients_order() -> None:
    offered = [(b"sec-websocket-protocol", b"a, b"), (b"other", b"x"), (b"sec-websocket-protocol", b",c ,,")]
    assert offered_subprotocols(offered) == ["a", "b", "c"]
    assert offered_subprotocols([]) == []


def test_an_upgrade() -> None:
    assert encode_upgrade(ACCEPT, [(b"x-one", b"1")]) == (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + ACCEPT + b"\r\nx-one: 1\r\n\r\n"
    )


def test_an_answer_says_its_length_once() -> None:
    given = [(b"Content-Length", b"9"), (b"Connection", b"keep-alive"), (b"x-one", b"1")]
    assert encode_answer(799, given, b"body") == (
        b"HTTP/1.1 799 \r\nx-one: 1\r\ncontent-length: 4\r\nconnection: close\r\n\r\nbody"
    )


def test_a_refusal_is_json() -> None:
    assert json.loads(refusal_body(400, "why")) == {"error": {"code": "bad_request", "message": "why"}}
