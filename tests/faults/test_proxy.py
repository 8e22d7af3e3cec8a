"""The proxy that stands for a bad network."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.faults.proxy import Mode, Proxy
from tests.servers.ports import free_port

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(100):
        writer.write(data)
    writer.close()


@pytest.fixture
async def proxy() -> AsyncIterator[Proxy]:
    """A proxy before a server that sends back what it gets."""
    port = free_port()
    server = await asyncio.start_server(_echo, "127.0.0.1", port)
    made = Proxy(port)
    await made.start()
    yield made
    await made.stop()
    server.close()


@pytest.fixture
async def link(proxy: Proxy) -> AsyncIterator[Streams]:
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    yield reader, writer
    writer.close()


async def comes_back(link: Streams, body: bytes) -> bool:
    reader, writer = link
    writer.write(body)
    try:
        return await asyncio.wait_for(reader.readexactly(len(body)), 0.2) == body
    except TimeoutError:
        return False


async def test_everything_passes(link: Streams) -> None:
    assert await comes_back(link, b"hello")


async def test_a_black_hole_holds_everything_back_until_it_ends(proxy: Proxy, link: Streams) -> None:
    await proxy.set_mode(Mode.BLACK_HOLE)
    assert not await comes_back(link, b"one")
    await proxy.set_mode(Mode.PASS)
    assert await asyncio.wait_for(link[0].readexactly(3), 5) == b"one"


async def test_a_cut_ends_connections_and_refuses_others(proxy: Proxy, link: Streams) -> None:
    assert await comes_back(link, b"hello")
    await proxy.set_mode(Mode.CUT)
    with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
        await asyncio.wait_for(link[0].readexactly(1), 5)
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", proxy.port)
    await proxy.set_mode(Mode.PASS)
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    assert await comes_back((reader, writer), b"again")
    writer.close()


async def test_a_delay(proxy: Proxy, link: Streams) -> None:
    proxy.delay_s = 0.05
    begin_s = asyncio.get_running_loop().time()
    assert await comes_back(link, b"slow")
    assert asyncio.get_running_loop().time() - begin_s >= 0.1
