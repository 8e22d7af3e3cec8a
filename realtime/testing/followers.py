"""A client of a world that follows a topic as a browser does: it comes back, and recovers what it missed."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from realtime.core.position import Position
from realtime.protocol.errors import Refusal
from realtime.testing.portal import Opening
from realtime.testing.sockets import Message, TestSocket

# Seconds of the world's time until a client that was cut, or answered with an error that may pass, tries again.
RETRY_S = 0.5
ABNORMAL = 1006


class Follower:
    """One client and one topic. `data` is what it got, in order.

    `losses` counts how often it was told that publications are gone; `refusal` is the code with which it was told to
    stay away.
    """

    def __init__(
        self,
        name: str,
        topic: str,
        tenant: str,
        connect: Callable[[], Opening[TestSocket]],
        say: Callable[[str], None],
    ) -> None:
        self.name = name
        self.topic = topic
        self.tenant = tenant
        self.data: list[Any] = []
        self.losses = 0
        self.refusal = ""
        self.faults: list[str] = []
        self._connect = connect
        self._say = say
        self._position: Position | None = None
        self._socket: TestSocket | None = None
        self._subscribed = asyncio.Event()
        self._task = asyncio.ensure_future(self._live())

    async def ready(self) -> "Follower":
        """Wait until it has subscribed for the first time, or was refused."""
        await self._subscribed.wait()
        return self

    def cut(self) -> None:
        """Cut its connection, if it has one."""
        if self._socket is not None:
            self._say(f"{self.name} is cut")
            self._socket.hang_up(ABNORMAL)

    async def stop(self) -> None:
        """End it."""
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task

    def judge(self, end: Position) -> None:
        """Raise AssertionError if it missed something until `end`, or got something twice, without being told."""
        if self._task.done() and not self._task.cancelled() and (error := self._task.exception()):
            raise error
        if not self.refusal and self._position != end:
            self.faults.append(f"it is at {self._position}, and the topic is at {end}")
        assert not self.faults, f"{self.name} of {self.topic}: {'; '.join(self.faults)}."

    async def _live(self) -> None:
        while not self.refusal:
            try:
                async with self._connect() as socket:
                    self._socket = socket
                    self._say(f"{self.name} connects")
                    await self._follow(socket)
            except Refusal as refused:
                self.refusal = refused.code
            finally:
                self._socket = None
            self._subscribed.set()
            await asyncio.sleep(RETRY_S)

    async def _follow(self, socket: TestSocket) -> None:
        request_id = await self._ask(socket)
        async for message in socket.messages():
            payload = message["payload"]
            if message.get("id") == request_id:
                if message["type"] == "error":
                    self._refused(payload)
                    return
                self._joined(payload)
                self._subscribed.set()
            elif message["type"] == "publication":
                self._take(payload)
            elif message["type"] == "unsubscribed":
                self._refused(payload)
                return

    async def _ask(self, socket: TestSocket) -> str:
        asked: dict[str, Any] = {"topic": self.topic}
        if self._position is not None:
            asked["recover"] = {"epoch": self._position.epoch, "offset": self._position.offset}
        return await socket.send("subscribe", asked)

    def _refused(self, error: Message) -> None:
        self._say(f"{self.name} gets {error['code']}")
        if error["code"] == "unrecoverable_position":
            self._lost()
        elif not error.get("retryable", False):
            self.refusal = error["code"]

    def _joined(self, reply: Message) -> None:
        if reply["recovered"] is False:
            self._lost()
        for publication in reply["publications"]:
            self._take(publication)
        end = Position(reply["epoch"], reply["offset"])
        if self._position is not None and self._position.offset != end.offset:
            self.faults.append(f"the reply is at {end}, and what it holds ends at {self._position}")
        self._position = end

    def _take(self, publication: Message) -> None:
        if self._position is not None:
            due = self._position.offset + 1
            if publication["offset"] != due:
                self.faults.append(f"the offset {due} was due, and {publication['offset']} came")
            epoch = publication.get("epoch", self._position.epoch)
            self._position = Position(epoch, publication["offset"])
        self._say(f"{self.name} gets {publication['offset']}: {publication['data']!r}")
        self.data.append(publication["data"])

    def _lost(self) -> None:
        self.losses += 1
        self._position = None
