"""A server that speaks RESP and answers what a test tells it to."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import hiredis

Answer = Callable[[list[bytes]], bytes | None]
HELLO = b"%1\r\n+proto\r\n:3\r\n"
OK = b"+OK\r\n"


def bulk(text: bytes) -> bytes:
    """A reply that is a text."""
    return b"$%d\r\n%b\r\n" % (len(text), text)


def push(*words: bytes) -> bytes:
    """A message that nobody asked for."""
    return b">%d\r\n" % len(words) + b"".join(map(bulk, words))


class FakeServer:
    """`answer` returns the reply to a command, b"" for none now, or None: the connection is closed."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.commands: list[list[bytes]] = []
        # How many commands came in each read.
        self.reads: list[int] = []
        self.writers: list[asyncio.StreamWriter] = []
        # While it is not set, the server accepts connections and answers nothing.
        self.goes_on = asyncio.Event()
        self.goes_on.set()
        self._server: asyncio.Server | None = None

    @property
    def port(self) -> int:
        assert self._server is not None
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1")

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        for writer in self.writers:
            writer.transport.abort()
        await self._server.wait_closed()

    def tell(self, message: bytes) -> None:
        """Send to every client."""
        for writer in self.writers:
            writer.write(message)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        with suppress(OSError):
            await self._answer(reader, writer)
        writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        commands = hiredis.Reader()
        while data := await reader.read(2**16):
            commands.feed(data)
            await self.goes_on.wait()
            count = 0
            while (command := commands.gets()) is not False:
                count += 1
                if not self._reply(command, writer):
                    break
            self.reads.append(count)

    def _reply(self, command: Any, writer: asyncio.StreamWriter) -> bool:
        self.commands.append(command)
        reply = HELLO if command[0] == b"HELLO" else self.answer(command)
        if reply is None:
            writer.transport.abort()
            return False
        writer.write(reply)
        return True
