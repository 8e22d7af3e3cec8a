"""A proxy between a server and its broker: it passes everything on until it is told otherwise."""

import asyncio
import ssl
from contextlib import suppress
from enum import Enum
from pathlib import Path

from tests.servers.ports import free_port

CHUNK_BYTES = 64 * 1024


class Mode(Enum):
    """The ways in which the proxy treats bytes."""

    PASS = "pass"
    # Connections end, and new ones are refused.
    CUT = "cut"
    # Connections stay and are accepted; nothing comes through.
    BLACK_HOLE = "black hole"


class Proxy:
    """Listens on `port` of 127.0.0.1, or at the Unix socket `path`, and connects to `target_port` of 127.0.0.1.

    It ends TLS, if it has the context of a server for it. Bytes are held back for `delay_s` seconds.
    """

    def __init__(
        self, target_port: int, *, tls: ssl.SSLContext | None = None, path: Path | None = None
    ) -> None:
        self.port = free_port()
        self.delay_s = 0.0
        self._target_port = target_port
        self._tls = tls
        self._path = path
        self._mode = Mode.PASS
        # Set while bytes may pass.
        self._is_passing = asyncio.Event()
        self._is_passing.set()
        self._server: asyncio.Server | None = None
        self._links: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Listen."""
        if self._path is not None:
            self._server = await asyncio.start_unix_server(self._accept, self._path)
        else:
            self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port, ssl=self._tls)

    async def stop(self) -> None:
        """End all connections and stop listening."""
        await self.set_mode(Mode.CUT)

    async def set_mode(self, mode: Mode) -> None:
        """Change what is done, for the open connections too. Bytes that a black hole took come out after it."""
        before, self._mode = self._mode, mode
        if mode is Mode.CUT:
            await self._end()
        elif before is Mode.CUT:
            await self.start()
        if mode is Mode.BLACK_HOLE:
            self._is_passing.clear()
        else:
            self._is_passing.set()

    async def _end(self) -> None:
        assert self._server is not None
        self._server.close()
        links = list(self._links)
        for link in links:
            link.cancel()
        await asyncio.gather(*links, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        link = asyncio.current_task()
        assert link is not None
        self._links.add(link)
        try:
            await self._join(reader, writer)
        except asyncio.CancelledError:
            # Cancelled by `_end`. asyncio logs a server's task that ends by a cancellation as failed.
            writer.transport.abort()
        finally:
            self._links.discard(link)

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target_port)
        except OSError:
            writer.transport.abort()
            return
        ways = [
            asyncio.create_task(self._carry(reader, far_writer)),
            asyncio.create_task(self._carry(far_reader, writer)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            far_writer.transport.abort()
            writer.transport.abort()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(CHUNK_BYTES):
                if self.delay_s:
                    await asyncio.sleep(self.delay_s)
                await self._is_passing.wait()
                writer.write(data)
                await writer.drain()
