"""Frames against the real server: what is right is echoed, what is wrong ends the connection with the right code."""

import pytest

from tests.server.client import SOON_S, opened
from tests.server.test_frames import FAULTS
from tests.server.wire import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, client_frame, close_frame

ECHO = "/ws/echo/"
MIB = 1024 * 1024
SERVER_MAX = 2 * MIB

NOT_UTF8 = {
    "a lone continuation byte": b"\x80",
    "an overlong slash": b"\xc0\xaf",
    "a surrogate": b"\xed\xa0\x80",
    "beyond unicode": b"\xf4\x90\x80\x80",
    "cut short": "🚀".encode()[:3],
    "after much that is right": b"x" * 1000 + b"\xff",
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_fault_of_the_protocol_closes_with_1002(port: int, fault: str) -> None:
    async with opened(port, ECHO) as client:
        client.send(FAULTS[fault])
        assert await client.close_code() == 1002
        assert await client.ended(SOON_S) == b""


@pytest.mark.parametrize("length", [0, 1, 125, 126, 65535, 65536, MIB])
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
async def test_lengths(port: int, opcode: int, length: int) -> None:
    async with opened(port, ECHO) as client:
        client.send(client_frame(opcode, b"x" * length))
        assert await client.frame() == (opcode, b"x" * length)


async def test_a_frame_that_comes_byte_by_byte(port: int) -> None:
    async with opened(port, ECHO) as client:
        for byte in client_frame(TEXT, "langsam 🚀".encode() * 20):
            client.send(bytes([byte]))
            await client.drain()
        assert await client.frame() == (TEXT, "langsam 🚀".encode() * 20)


async def test_many_frames_in_one_packet(port: int) -> None:
    async with opened(port, ECHO) as client:
        client.send(*[client_frame(TEXT, b"%d" % number) for number in range(1000)])
        assert [await client.frame() for _ in range(1000)] == [
            (TEXT, b"%d" % number) for number in range(1000)
        ]


async def test_fragments_with_control_frames_between(port: int) -> None:
    async with opened(port, ECHO) as client:
        client.send(client_frame(TEXT, "ä".encode()[:1], fin=False), client_frame(PING, b"one"))
        assert await client.frame() == (PONG, b"one")
        client.send(client_frame(CONTINUATION, b"", fin=False), client_frame(PONG, b"unasked"))
        client.send(client_frame(CONTINUATION, "ä".encode()[1:], fin=False), client_frame(PING))
        assert await client.frame() == (PONG, b"")
        client.send(client_frame(CONTINUATION))
        assert await client.frame() == (TEXT, "ä".encode())


async def test_each_ping_is_answered_with_its_payload(port: int) -> None:
    async with opened(port, ECHO) as client:
        payloads = [b"", b"x" * 125, *[b"%d" % number for number in range(200)]]
        client.send(*[client_frame(PING, payload) for payload in payloads])
        assert [await client.frame() for _ in payloads] == [(PONG, payload) for payload in payloads]


async def test_an_unasked_pong_is_ignored(port: int) -> None:
    async with opened(port, ECHO) as client:
        client.send(client_frame(PONG), client_frame(PONG, b"x" * 125), client_frame(TEXT, b"still"))
        assert await client.frame() == (TEXT, b"still")


@pytest.mark.parametrize("case", NOT_UTF8)
async def test_text_that_is_not_utf8_closes_with_1007(port: int, case: str) -> None:
    text = NOT_UTF8[case]
    whole = [client_frame(TEXT, text)]
    pieces = [
        client_frame(TEXT, text[:1], fin=False),
        client_frame(PING),
        client_frame(CONTINUATION, text[1:]),
    ]
    for frames in (whole, pieces):
        async with opened(port, ECHO) as client:
            client.send(*frames)
            assert await client.close_code() == 1007
            assert await client.ended(SOON_S) == b""


async def test_binary_need_not_be_utf8(port: int) -> None:
    async with opened(port, ECHO) as client:
        client.send(client_frame(BINARY, b"\xff\xfe"))
        assert await client.frame() == (BINARY, b"\xff\xfe")


async def test_a_reason_that_is_not_utf8_closes_with_1007(port: int) -> None:
    async with opened(port, ECHO) as client:
        client.send(close_frame(1000, b"\xff"))
        assert await client.close_code() == 1007


TOO_LARGE = {
    "one byte over the endpoint's limit": [client_frame(BINARY, bytes(MIB + 1))],
    "in fragments": [
        client_frame(BINARY, bytes(MIB), fin=False),
        client_frame(CONTINUATION, b"x"),
    ],
    "as much as the server takes": [client_frame(BINARY, bytes(SERVER_MAX))],
    "more than the server takes: its head is enough": [client_frame(BINARY, b"", length=SERVER_MAX + 1)],
    "a huge one": [client_frame(TEXT, b"", length=(1 << 63) - 1)],
}


@pytest.mark.parametrize("case", TOO_LARGE)
async def test_what_is_too_large_closes_with_1009(port: int, case: str) -> None:
    async with opened(port, ECHO) as client:
        client.send(*TOO_LARGE[case])
        assert await client.close_code() == 1009


async def test_exactly_a_mebibyte_in_fragments_passes(port: int) -> None:
    async with opened(port, ECHO) as client:
        half = bytes(MIB // 2)
        client.send(client_frame(BINARY, half, fin=False), client_frame(CONTINUATION, half))
        assert await client.frame() == (BINARY, bytes(MIB))


SENDABLE = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999]
NOT_SENDABLE = [0, 999, 1004, 1005, 1006, 1015, 1016, 2000, 2999, 5000, 65535]


@pytest.mark.parametrize("code", SENDABLE)
async def test_a_close_is_echoed(port: int, code: int) -> None:
    async with opened(port, ECHO) as client:
        client.send(close_frame(code, "tschüß".encode()))
        assert await client.frame() == (CLOSE, code.to_bytes(2))
        assert await client.ended(SOON_S) == b""


@pytest.mark.parametrize("code", NOT_SENDABLE)
async def test_a_code_that_nobody_may_send_closes_with_1002(port: int, code: int) -> None:
    async with opened(port, ECHO) as client:
        client.send(close_frame(code))
        assert await client.close_code() == 1002
        assert await client.ended(SOON_S) == b""


async def test_an_empty_close_and_one_of_a_single_byte(port: int) -> None:
    async with opened(port, ECHO) as client:
        client.send(client_frame(CLOSE))
        assert await client.frame() == (CLOSE, b"")
        assert await client.ended(SOON_S) == b""
    async with opened(port, ECHO) as client:
        client.send(client_frame(CLOSE, b"\x03"))
        assert await client.close_code() == 1002


async def test_what_comes_after_a_close_is_ignored(port: int) -> None:
    async with opened(port, ECHO) as client:
        client.send(close_frame(1000), client_frame(TEXT, b"late"), client_frame(PING), client_frame(3))
        assert await client.frame() == (CLOSE, (1000).to_bytes(2))
        assert await client.ended(SOON_S) == b""
