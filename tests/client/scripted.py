"""A server that a test plays: it accepts sockets of the client, and answers as it is told."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

WAIT_S = 5.0
WELCOME = {"heartbeat": {"interval_s": 25, "timeout_s": 20}}
Message = dict[str, Any]


class Socket:
    """One connection of the client, from the server's side."""

    def __init__(self, connection: ServerConnection) -> None:
        self._connection = connection
        assert connection.request is not None
        self.path = connection.request.path
        self.headers = connection.request.headers
        self.over = asyncio.Event()

    async def push(self, *messages: Message) -> None:
        """Send messages in one frame."""
        await self._connection.send("\n".join(json.dumps(each) for each in messages))

    async def welcome(self) -> None:
        """Say welcome."""
        await self.push({"type": "welcome", "payload": WELCOME})

    async def request(self, verb: str) -> Message:
        """The next message, which must be of this type."""
        async with asyncio.timeout(WAIT_S):
            message: Message = json.loads(await self._connection.recv())
        assert message["type"] == verb, message
        return message

    async def answer(self, verb: str, kind: str, payload: Any) -> Any:
        """Answer the next request; return its payload."""
        request = await self.request(verb)
        await self.push({"id": request["id"], "type": kind, "payload": payload})
        return request["payload"]

    async def refuse(self, verb: str, code: str, **more: Any) -> Any:
        """Answer the next request with an error."""
        payload = {"code": code, "message": "No.", "retryable": False, **more}
        return await self.answer(verb, "error", payload)

    async def subscribed(
        self, offset: int, *, epoch: str = "e", missed: tuple[int, ...] | None = None
    ) -> Any:
        """Answer the next `subscribe` of one topic; return its payload."""
        request = await self.request("subscribe")
        topic = request["payload"]["topic"]
        asked = "recover" in request["payload"]
        publications = [publication(each, topic)["payload"] for each in missed or ()]
        recovered = (missed is not None) if asked else None
        payload = {
            "topic": topic,
            "epoch": epoch,
            "offset": offset,
            "recovered": recovered,
            "publications": publications,
        }
        await self.push({"id": request["id"], "type": "subscribed", "payload": payload})
        return request["payload"]

    async def publish(self, *offsets: int, topic: str = "t") -> None:
        """Push publications in one frame."""
        await self.push(*(publication(each, topic) for each in offsets))

    async def end(self, code: int, reason: str = "") -> None:
        """Close the connection."""
        await self._connection.close(code, reason)
        self.over.set()


class Scripted:
    """The server. Each connection of the client is given out by `socket`."""

    def __init__(self) -> None:
        self.url = ""
        self.seen = 0
        self.seen_twice = asyncio.Event()
        self.refuses_with: int | None = None
        self._sockets: asyncio.Queue[Socket] = asyncio.Queue()

    async def socket(self, *, is_welcomed: bool = True) -> Socket:
        """The next connection."""
        async with asyncio.timeout(WAIT_S):
            socket = await self._sockets.get()
        if is_welcomed:
            await socket.welcome()
        return socket

    async def handle(self, connection: ServerConnection) -> None:
        """Keep a connection open until it is ended."""
        socket = Socket(connection)
        self._sockets.put_nowait(socket)
        await connection.wait_closed()

    def process(self, connection: ServerConnection, request: Request) -> Response | None:
        """Accept, or refuse by HTTP."""
        self.seen += 1
        if self.seen > 1:
            self.seen_twice.set()
        if self.refuses_with is None:
            return None
        return connection.respond(HTTPStatus(self.refuses_with), "no")


@asynccontextmanager
async def scripted() -> AsyncIterator[Scripted]:
    """Serve on a free port."""
    script = Scripted()
    server: Server
    async with serve(
        script.handle,
        "127.0.0.1",
        0,
        process_request=script.process,
        subprotocols=[Subprotocol("rockstar.v1.batch"), Subprotocol("rockstar.v1")],
        compression=None,
    ) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        script.url = f"ws://127.0.0.1:{port}/ws/"
        yield script


def publication(offset: int, topic: str = "t") -> Message:
    """The push of a publication whose data is its offset."""
    payload = {"topic": topic, "offset": offset, "data": offset, "publisher": None, "time": ""}
    return {"type": "publication", "payload": payload}
