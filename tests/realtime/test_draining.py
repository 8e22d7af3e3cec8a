"""Draining closes connections evenly over the whole time, few or many."""

from types import SimpleNamespace
from typing import Any

import pytest

from realtime.node.draining import SLICE_S, close_evenly
from realtime.protocol.close_codes import CloseCode


class Sockets:
    """Connections that note when they are closed, on a clock that only the pauses move."""

    def __init__(self, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
        self.slices = 0
        self.closed_s: list[float] = []
        self.all: list[Any] = [SimpleNamespace(close=self._close)] * count
        monkeypatch.setattr("realtime.node.draining.asyncio.sleep", self._sleep)

    def _close(self, code: CloseCode, reason: str) -> None:
        assert code == CloseCode.RESTART
        self.closed_s.append(self.slices * SLICE_S)

    async def _sleep(self, seconds: float) -> None:
        assert seconds == SLICE_S
        self.slices += 1


@pytest.mark.parametrize("count", [1, 2, 6, 39, 40, 41, 1000])
async def test_connections_are_closed_evenly(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    sockets = Sockets(count, monkeypatch)
    await close_evenly(sockets.all, within_s=2.0)
    even = [2.0 * number / count for number in range(count)]
    assert sockets.closed_s == pytest.approx(even, abs=SLICE_S)


@pytest.mark.parametrize(("count", "within_s"), [(0, 2.0), (5, 0.0), (5, 0.01)])
async def test_nothing_to_wait_for(count: int, within_s: float, monkeypatch: pytest.MonkeyPatch) -> None:
    sockets = Sockets(count, monkeypatch)
    await close_evenly(sockets.all, within_s=within_s)
    assert sockets.closed_s == [0.0] * count
    assert sockets.slices == 0
