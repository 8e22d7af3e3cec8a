"""Connections that come and go at the real server, in good and bad ways: nothing of them stays."""

import asyncio
import signal
import time
from pathlib import Path

import httpx
import pytest

from tests.server.client import SOON_S, WAIT_S, connect, opened, request
from tests.server.wire import CLOSE, TEXT, client_frame, close_frame
from tests.servers.pool import METRICS_TOKEN, SitePool
from tests.servers.process import HOST, ServerProcess

ECHO = "/ws/echo/"
CYCLES = 500
AT_ONCE = 50


async def active(server: ServerProcess) -> int:
    """How many connections it counts."""
    async with httpx.AsyncClient(trust_env=False, verify=False, timeout=WAIT_S) as http:
        url = f"http://127.0.0.1:{server.port}/metrics/websocket"
        headers = {"Host": f"{HOST}:{server.port}", "Authorization": f"Bearer {METRICS_TOKEN}"}
        answer = await http.get(url, headers=headers)
        count: int = answer.json()["active_connections"]
        return count


def fds(server: ServerProcess) -> int:
    return len(list(Path(f"/proc/{server.process.pid}/fd").iterdir()))


async def assert_none_left(server: ServerProcess, fds_before: int) -> None:
    """Soon there are no connections, and no more files than before."""
    async with asyncio.timeout(WAIT_S):
        while await active(server):  # noqa: ASYNC110 another process
            await asyncio.sleep(0.02)
        # The figures above have a connection of their own, and keep-alive ends later.
        while fds(server) > fds_before + 2:  # noqa: ASYNC110 another process
            await asyncio.sleep(0.02)


async def closed_well(port: int) -> None:
    async with opened(port, ECHO) as client:
        client.text("x")
        assert await client.frame() == (TEXT, b"x")
        client.send(close_frame(1000))
        assert await client.close_code() == 1000


async def ended_without_a_word(port: int) -> None:
    async with opened(port, ECHO) as client:
        client.text("x")


async def reset_in_a_frame(port: int) -> None:
    async with opened(port, ECHO) as client:
        client.send(client_frame(TEXT, b"x" * 1000)[:-10])
        await client.drain()
        client.reset()


async def half_closed(port: int) -> None:
    async with opened(port, ECHO) as client:
        client.text("x")
        client.writer.write_eof()
        await client.ended()


async def gone_before_the_answer(port: int) -> None:
    async with connect(port) as client:
        client.send(request(ECHO))


async def gone_in_the_handshake(port: int) -> None:
    async with connect(port) as client:
        client.send(request(ECHO)[:40])
        await client.drain()


async def broken(port: int) -> None:
    async with opened(port, ECHO) as client:
        client.send(client_frame(TEXT, b"x", fin=False), client_frame(3))
        assert await client.close_code() == 1002


async def refused(port: int) -> None:
    async with connect(port) as client:
        client.send(request("/ws/no-such-route/"))
        assert (await client.answer())[0] == 404


WAYS = [
    closed_well,
    ended_without_a_word,
    reset_in_a_frame,
    half_closed,
    gone_before_the_answer,
    gone_in_the_handshake,
    broken,
    refused,
]


async def test_nothing_stays_of_connections_that_come_and_go(server: ServerProcess) -> None:
    await asyncio.gather(*[way(server.port) for way in WAYS])
    before = fds(server)
    for first in range(0, CYCLES, AT_ONCE):
        ways = [WAYS[number % len(WAYS)] for number in range(first, first + AT_ONCE)]
        await asyncio.gather(*[way(server.port) for way in ways])
    await assert_none_left(server, before)


async def test_the_end_of_tcp_comes_right_after_the_closing_handshake(server: ServerProcess) -> None:
    async with opened(server.port, ECHO) as client:
        client.send(close_frame(1000))
        assert await client.frame() == (CLOSE, (1000).to_bytes(2))
        assert await client.ended(SOON_S) == b""


async def test_a_half_closed_client_is_not_kept(server: ServerProcess) -> None:
    async with opened(server.port, ECHO) as client:
        client.writer.write_eof()
        await client.ended(SOON_S)


@pytest.mark.parametrize("answers", [True, False])
async def test_sigterm_closes_with_1012_and_ends_with_0(site_pool: SitePool, answers: bool) -> None:
    site = site_pool.start("serve", {"REALTIME_DRAIN_S": "0.3"})
    try:
        async with opened(site.server.port, ECHO) as first, opened(site.server.port, "/ws/pubsub/") as second:
            began_s = time.monotonic()
            site.server.process.send_signal(signal.SIGTERM)
            for client in (first, second):
                assert await client.close_code() == 1012
                if answers:
                    client.send(close_frame(1012))
            await first.ended()
            await second.ended()
            assert await asyncio.to_thread(site.server.stop) == 0
            assert time.monotonic() - began_s < 10
    finally:
        site.close()
