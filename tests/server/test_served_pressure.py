"""Clients that send without reading, or read nothing, at the real server: its memory stays what it was."""

import asyncio
import contextlib
import time
from pathlib import Path

import pytest

from tests.server.client import Client, opened
from tests.server.wire import BINARY, CONTINUATION, PING, PONG, TEXT, client_frame
from tests.servers.pool import SitePool
from tests.servers.process import ServerProcess

ECHO = "/ws/echo/"
FLOOD_S = 0.5
GROWTH_MAX_BYTES = 16 * 1024 * 1024
CHUNK_BYTES = 64 * 1024
# Shut out, it would be the one that was there before the flood.
ECHOES_MIN = 3

FLOODS = {
    "pings": client_frame(PING, b"x" * 125),
    "empty pings": client_frame(PING),
    "pongs": client_frame(PONG),
    "empty fragments": client_frame(CONTINUATION, b"", fin=False),
    "fragments of a byte": client_frame(CONTINUATION, b"x", fin=False),
    "small messages": client_frame(TEXT, b""),
    "large messages": client_frame(BINARY, bytes(900_000)),
}


def rss_bytes(server: ServerProcess) -> int:
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) * 1024


async def send_for(client: Client, seconds: float, data: bytes) -> int:
    """Send as fast as the server takes it, never reading; how many bytes it took. It may close us for it."""
    end_s, taken = time.monotonic() + seconds, 0
    with contextlib.suppress(ConnectionError, TimeoutError):
        while (left_s := end_s - time.monotonic()) > 0:
            client.writer.write(data)
            async with asyncio.timeout(left_s):
                await client.writer.drain()
            taken += len(data)
    return taken


async def assert_serves(port: int) -> None:
    """It answers others."""
    async with opened(port, ECHO) as other:
        other.text("others")
        assert await other.frame() == (TEXT, b"others")


@pytest.mark.parametrize("flood", FLOODS)
async def test_a_flood_from_a_client_that_does_not_read(server: ServerProcess, flood: str) -> None:
    frame = FLOODS[flood]
    async with opened(server.port, ECHO, receive_bytes=4096) as client, opened(server.port, ECHO) as other:
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        if "fragments" in flood:
            client.send(client_frame(TEXT, b"", fin=False))
        before = rss_bytes(server)
        flooding = asyncio.create_task(send_for(client, FLOOD_S, frame * max(CHUNK_BYTES // len(frame), 1)))
        echoes = 0
        # Some floods are closed at once; the others must be answered for as long as one lasts.
        while not flooding.done() or echoes < ECHOES_MIN:
            other.text("meanwhile")
            assert await other.frame() == (TEXT, b"meanwhile")
            echoes += 1
            await asyncio.sleep(0.02)
        assert await flooding > 0
        growth = rss_bytes(server) - before
        assert growth < GROWTH_MAX_BYTES, f"{growth / 2**20:.1f} MiB more"


async def test_a_stream_that_nobody_reads(server: ServerProcess) -> None:
    path = "/ws/stream/?interval=0.05&source=server"
    async with contextlib.AsyncExitStack() as stack:
        before = rss_bytes(server)
        for _ in range(20):
            client = await stack.enter_async_context(opened(server.port, path, receive_bytes=4096))
            for _ in range(7):
                client.text('{"type": "start", "payload": {"source": "random_walk", "interval": 0.05}}')
            client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await asyncio.sleep(FLOOD_S)
        assert rss_bytes(server) - before < GROWTH_MAX_BYTES
    await assert_serves(server.port)


async def test_an_echo_that_is_read_late_is_whole(site_pool: SitePool) -> None:
    """The server stops reading from a client that does not read, and loses nothing."""
    with contextlib.closing(site_pool.start("serve", {"REALTIME_BYTES_PER_S": "0"})) as site:
        await echo_late(site.server)


async def echo_late(server: ServerProcess) -> None:
    # More than the kernel's buffers hold, on both sides of both directions.
    messages = [bytes([number % 256]) * 100_000 for number in range(400)]
    sent: list[int] = []

    async def send_all() -> None:
        for number, message in enumerate(messages):
            client.send(client_frame(BINARY, message))
            await client.writer.drain()
            sent.append(number)

    async with opened(server.port, ECHO, receive_bytes=65536) as client:
        before = rss_bytes(server)
        sending = asyncio.create_task(send_all())
        count = -1
        while count != len(sent):
            count = len(sent)
            await asyncio.sleep(0.4)
        assert count < len(messages), "the server took everything"
        assert rss_bytes(server) - before < GROWTH_MAX_BYTES
        for message in messages:
            assert await client.frame() == (BINARY, message)
        await sending


async def test_a_subscriber_that_reads_again_is_told_4410_at_once(site_pool: SitePool) -> None:
    with contextlib.closing(
        site_pool.start("serve", {"REALTIME_OUTBOX_BYTES": "100000", "REALTIME_BYTES_PER_S": "0"})
    ) as site:
        port = site.server.port
        async with (
            opened(port, "/ws/pubsub/", receive_bytes=4096) as sleeper,
            opened(port, "/ws/pubsub/") as other,
        ):
            sleeper.text('{"id": 1, "type": "subscribe", "payload": {"topic": "flood"}}')
            while b"subscribed" not in (await sleeper.frame())[1]:
                pass
            sleeper.writer.transport.pause_reading()  # type: ignore[attr-defined]
            for _ in range(250):
                other.text(
                    '{"id": 1, "type": "publish", "payload": {"topic": "flood", "data": "%s"}}'
                    % ("x" * 40_000)
                )
                while b"published" not in (await other.frame())[1]:
                    pass
            began_s = time.monotonic()
            sleeper.writer.transport.resume_reading()  # type: ignore[attr-defined]
            assert await sleeper.close_code() == 4410
            assert time.monotonic() - began_s < 5
            # It was closed, not cut: pipelined replies of one that reads do not count.
            for _ in range(20):
                other.text('{"id": 2, "type": "history", "payload": {"topic": "flood", "limit": 10}}')
            answers = 0
            while answers < 20:
                opcode, payload = await other.frame()
                assert opcode == TEXT
                answers += b'"history"' in payload


# More than a client may have waiting, many times over: a topic whose history fills a reply.
TOPIC_FULL = [
    '{"id": 1, "type": "publish", "payload": {"topic": "full", "data": "%s"}}' % ("x" * 50_000)
    for _ in range(12)
]
HISTORY = '{"id": 2, "type": "history", "payload": {"topic": "full"}}'
SLEEPERS = 25


async def fall_asleep(stack: contextlib.AsyncExitStack, port: int, requests: int) -> Client:
    """A client that asks for much and reads nothing."""
    client = await stack.enter_async_context(opened(port, "/ws/pubsub/", receive_bytes=4096))
    client.writer.transport.pause_reading()  # type: ignore[attr-defined]
    for _ in range(requests):
        client.text(HISTORY)
    return client


async def fill_topic(client: Client) -> None:
    for text in TOPIC_FULL:
        client.text(text)
        while b"published" not in (await client.frame())[1]:
            pass


async def test_one_that_does_not_read_is_cut_and_holds_little(site_pool: SitePool) -> None:
    """Replies that wait are part of the outbox; who takes no byte is cut before the ping would find it."""
    settings = {"REALTIME_OUTBOX_STALL_S": "2", "REALTIME_OUTBOX_BYTES": "300000"}
    with contextlib.closing(site_pool.start("serve", settings)) as site:
        port = site.server.port
        async with contextlib.AsyncExitStack() as stack:
            other = await stack.enter_async_context(opened(port, "/ws/pubsub/"))
            await fill_topic(other)
            before = rss_bytes(site.server)
            for _ in range(SLEEPERS):
                await fall_asleep(stack, port, 20)
            began_s, growths = time.monotonic(), [0]
            while site.server.log().count('"code":4410') < SLEEPERS:
                assert time.monotonic() - began_s < 8, "not cut"
                other.text(HISTORY)
                while b'"history"' not in (await other.frame())[1]:
                    pass
                growths.append(rss_bytes(site.server) - before)
                await asyncio.sleep(0.1)
            # A reply of 0.5 MB in the transport and one behind it, each: not six, and none of them three times.
            assert max(growths) < SLEEPERS * 1_500_000, f"{max(growths) / 2**20:.1f} MiB more"
            assert site.server.log().count('"reason":"slow consumer"') == SLEEPERS


async def test_all_outboxes_have_one_budget(site_pool: SitePool) -> None:
    """Without a bound of their own, clients that do not read are cut when they hold too much together."""
    settings = {
        "REALTIME_OUTBOX_BYTES": "0",
        "REALTIME_OUTBOX_STALL_S": "0",
        "REALTIME_OUTBOXES_BYTES": "3000000",
        "REALTIME_BYTES_PER_S": "0",
    }
    with contextlib.closing(site_pool.start("serve", settings)) as site:
        port = site.server.port
        async with contextlib.AsyncExitStack() as stack:
            other = await stack.enter_async_context(opened(port, "/ws/pubsub/"))
            for _ in range(5):
                sleeper = await stack.enter_async_context(opened(port, "/ws/pubsub/", receive_bytes=4096))
                sleeper.text('{"id": 1, "type": "subscribe", "payload": {"topic": "full"}}')
                while b"subscribed" not in (await sleeper.frame())[1]:
                    pass
                sleeper.writer.transport.pause_reading()  # type: ignore[attr-defined]
            before = rss_bytes(site.server)
            # Far more than the kernel's buffers hold.
            for _ in range(25):
                await fill_topic(other)
            assert rss_bytes(site.server) - before < GROWTH_MAX_BYTES
            async with asyncio.timeout(10):
                while site.server.log().count('"code":4410') < 5:  # noqa: ASYNC110 a log tells nobody
                    await asyncio.sleep(0.1)
        await assert_serves(port)
