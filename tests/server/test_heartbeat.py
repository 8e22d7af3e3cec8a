"""Pings for many sockets by one timer, with a clock that the test turns."""

import heapq
import itertools
from collections.abc import Callable
from typing import Any, cast

import pytest

from realtime.server.heartbeat import SLOTS, Heartbeat

INTERVAL_S = 32.0
TICK_S = INTERVAL_S / SLOTS


class FakeLoop:
    """Timers that run when `advance` says so."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()

    def call_later(self, delay_s: float, call: Callable[[], None]) -> object:
        heapq.heappush(self._timers, (self.now_s + delay_s, next(self._numbers), call))
        return object()

    def advance(self, seconds: float) -> None:
        end_s = self.now_s + seconds
        while self._timers and self._timers[0][0] <= end_s + 1e-9:
            self.now_s, _, call = heapq.heappop(self._timers)
            call()
        self.now_s = end_s

    @property
    def is_idle(self) -> bool:
        return not self._timers


class Socket:
    """Answers after `answer_s` on the fake clock; never where None."""

    def __init__(self, loop: FakeLoop, heartbeat: Heartbeat, answer_s: float | None = 0.0) -> None:
        self.ping_due = 0
        self.pings: list[float] = []
        self.ended_s: float | None = None
        self._loop = loop
        self._heartbeat = heartbeat
        self.answer_s = answer_s

    def send_ping(self) -> None:
        self.pings.append(self._loop.now_s)
        if self.answer_s == 0.0:
            self._pong()
        elif self.answer_s is not None:
            self._loop.call_later(self.answer_s, self._pong)

    def no_pong(self) -> None:
        self.ended_s = self._loop.now_s
        self._heartbeat.discard(self)

    def _pong(self) -> None:
        self.ping_due = 0


@pytest.fixture
def loop() -> FakeLoop:
    return FakeLoop()


def make(loop: FakeLoop, timeout_s: float = 8.0) -> Heartbeat:
    return Heartbeat(cast("Any", loop), INTERVAL_S, timeout_s)


def test_first_pings_are_spread_over_half_an_interval(loop: FakeLoop) -> None:
    heartbeat = make(loop)
    sockets = [Socket(loop, heartbeat) for _ in range(500)]
    for socket in sockets:
        heartbeat.add(socket)
    loop.advance(INTERVAL_S)
    firsts = [socket.pings[0] for socket in sockets]
    assert min(firsts) >= INTERVAL_S / 2
    assert max(firsts) <= INTERVAL_S
    assert len(set(firsts)) > SLOTS // 4


def test_one_that_answers_is_pinged_every_interval_and_stays(loop: FakeLoop) -> None:
    heartbeat = make(loop)
    socket = Socket(loop, heartbeat, answer_s=7.9)
    heartbeat.add(socket)
    loop.advance(INTERVAL_S * 10)
    gaps = {round(after - before, 6) for before, after in itertools.pairwise(socket.pings)}
    assert gaps == {INTERVAL_S}
    assert socket.ended_s is None


def test_one_that_does_not_answer_is_ended_after_the_timeout(loop: FakeLoop) -> None:
    heartbeat = make(loop)
    socket = Socket(loop, heartbeat, answer_s=None)
    heartbeat.add(socket)
    loop.advance(INTERVAL_S * 3)
    assert len(socket.pings) == 1
    assert socket.ended_s == pytest.approx(socket.pings[0] + 8.0)


@pytest.mark.parametrize("timeout_s", [8.0, 40.0, 80.0])
def test_each_ping_has_all_its_time(loop: FakeLoop, timeout_s: float) -> None:
    """A timeout longer than the interval: the end of an answered ping's time is not that of the next one."""
    heartbeat = make(loop, timeout_s)
    socket = Socket(loop, heartbeat, answer_s=timeout_s - TICK_S / 2)
    heartbeat.add(socket)
    loop.advance(INTERVAL_S * 10)
    assert socket.ended_s is None
    socket.answer_s = None
    loop.advance(INTERVAL_S * 10)
    assert socket.ended_s == pytest.approx(socket.pings[-1] + timeout_s)


def test_without_a_timeout_it_is_pinged_for_ever(loop: FakeLoop) -> None:
    heartbeat = make(loop, 0)
    socket = Socket(loop, heartbeat, answer_s=None)
    heartbeat.add(socket)
    loop.advance(INTERVAL_S * 5)
    assert len(socket.pings) >= 4
    assert socket.ended_s is None


def test_one_that_is_discarded_is_left_alone(loop: FakeLoop) -> None:
    heartbeat = make(loop, timeout_s=INTERVAL_S)
    early, late = Socket(loop, heartbeat), Socket(loop, heartbeat, answer_s=None)
    heartbeat.add(early)
    heartbeat.add(late)
    heartbeat.discard(early)
    loop.advance(INTERVAL_S)
    heartbeat.discard(late)
    heartbeat.discard(late)
    loop.advance(INTERVAL_S)
    assert early.pings == []
    assert len(late.pings) == 1
    assert late.ended_s is None


def test_with_nobody_left_the_timer_rests_and_begins_again(loop: FakeLoop) -> None:
    heartbeat = make(loop)
    for _ in range(2):
        socket = Socket(loop, heartbeat)
        heartbeat.add(socket)
        loop.advance(INTERVAL_S)
        assert socket.pings
        heartbeat.discard(socket)
        loop.advance(INTERVAL_S)
        assert loop.is_idle
