"""Messages between nodes: in order, and not lost while the broker is away."""

import asyncio

import pytest

from realtime.node import control
from realtime.node.control import Control
from realtime.topics.engine.memory import MemoryBus, MemoryExchange
from realtime.topics.engine.ports import BusUnavailableError

GROUP = "control"


class BrokenBus(MemoryBus):
    """A bus whose broker may be away."""

    is_away = False

    async def send(self, group: str, body: bytes, *, to_self: bool = False) -> None:
        if self.is_away:
            raise BusUnavailableError("away")
        await super().send(group, body, to_self=to_self)


class Heard(list[bytes]):
    """What another node heard, and a way to wait for it."""

    def __init__(self) -> None:
        super().__init__()
        self._grown = asyncio.Event()

    def append(self, body: bytes) -> None:
        super().append(body)
        self._grown.set()

    async def until(self, count: int) -> None:
        async with asyncio.timeout(5):
            while len(self) < count:
                self._grown.clear()
                await self._grown.wait()


async def nodes() -> tuple[BrokenBus, Control, Heard]:
    """A node that speaks, and what another one hears."""
    exchange, heard = MemoryExchange(), Heard()
    speaking, hearing = BrokenBus(exchange), MemoryBus(exchange)
    speaker = Control(speaking, asyncio.create_task, {GROUP: lambda body: None})
    hearer = Control(hearing, asyncio.create_task, {GROUP: heard.append})
    await speaking.start(speaker.on_message)
    await hearing.start(hearer.on_message)
    await speaker.start()
    await hearer.start()
    return speaking, speaker, heard


async def test_what_is_said_while_the_broker_is_away_is_heard_later_in_order() -> None:
    bus, speaker, heard = await nodes()
    await speaker.tell(GROUP, b"1")
    bus.is_away = True
    for body in (b"2", b"3"):
        await speaker.tell(GROUP, body)
    bus.is_away = False
    await speaker.tell(GROUP, b"4")
    await heard.until(4)
    assert heard == [b"1", b"2", b"3", b"4"]


async def test_what_waits_is_bounded_and_the_newest_stays(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(control, "MAX_WAITING", 2)
    bus, speaker, heard = await nodes()
    bus.is_away = True
    for body in (b"1", b"2", b"3"):
        await speaker.tell(GROUP, body)
    bus.is_away = False
    await heard.until(2)
    assert heard == [b"2", b"3"]
    assert "the oldest was dropped" in caplog.text
