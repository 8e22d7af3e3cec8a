"""The server pings; who does not answer is gone."""

import asyncio

import pytest

from tests.e2e.raw import (
    OP_CLOSE,
    OP_PING,
    OP_TEXT,
    close_code_of,
    frame_bytes,
    frames_until_close,
    handshake,
    read_frame,
    tcp,
)
from tests.e2e.talk import WAIT_S
from tests.e2e.visitor import Visitor

OP_PONG = 10

pytestmark = pytest.mark.settings(REALTIME_PING_INTERVAL_S=0.3, REALTIME_PING_TIMEOUT_S=2)

PATHS = ["/ws/echo/", "/ws/pubsub/"]


async def test_who_never_answers_is_closed_and_who_answers_stays(acme: Visitor) -> None:
    """One wait for all four."""
    cases = [case(acme, path) for case in (never_answers, answers) for path in PATHS]
    await asyncio.gather(*cases)


async def never_answers(acme: Visitor, path: str) -> None:
    async with tcp(acme) as (reader, writer):
        writer.write(handshake(acme, path))
        assert b" 101 " in await reader.readuntil(b"\r\n\r\n")
        async with asyncio.timeout(WAIT_S):
            frames = await frames_until_close(reader)
    assert OP_PING in [opcode for opcode, _ in frames]
    assert close_code_of(frames) == 4408


async def answers(acme: Visitor, path: str) -> None:
    async with tcp(acme) as (reader, writer):
        writer.write(handshake(acme, path))
        assert b" 101 " in await reader.readuntil(b"\r\n\r\n")
        pings = 0
        while pings < 4:
            async with asyncio.timeout(WAIT_S):
                opcode, payload = await read_frame(reader)
            assert opcode != OP_CLOSE
            if opcode == OP_PING:
                pings += 1
                writer.write(frame_bytes(OP_PONG, payload))
        writer.write(frame_bytes(OP_TEXT, b'{"type": "ping"}'))
        async with asyncio.timeout(WAIT_S):
            while True:
                opcode, payload = await read_frame(reader)
                if opcode == OP_TEXT and b'"type"' in payload and b"welcome" not in payload:
                    break


async def test_the_welcome_tells_the_heartbeat(acme: Visitor) -> None:
    async with acme.open_json("/ws/pubsub/") as talk:
        assert talk.welcome["heartbeat"] == {"interval_s": 0.3, "timeout_s": 2}


async def test_a_clients_ping_is_answered(acme: Visitor) -> None:
    async with acme.open("/ws/echo/") as talk:
        assert await talk.is_alive()
