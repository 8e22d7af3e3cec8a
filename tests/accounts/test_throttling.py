"""Guessed passwords: ten a minute, whatever the clock shows."""

from collections.abc import Iterator

import pytest
from django.core.cache import cache
from django.test import RequestFactory

from accounts import throttling
from accounts.throttling import MAX_FAILURES, WINDOW_S, SignInAttempt
from realtime.core.identity import Tenant


class Clock:
    """The wall clock, set by the test."""

    def __init__(self, now_s: float) -> None:
        self.now_s = now_s

    def time(self) -> float:
        """As `time.time`."""
        return self.now_s


@pytest.fixture(params=[0.0, 0.3, 4.999, 59.9])
def clock(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    clock = Clock(1_800_000_000 + request.param)
    monkeypatch.setattr(throttling, "time", clock)
    cache.clear()
    yield clock
    cache.clear()


@pytest.fixture
def attempt(rf: RequestFactory) -> SignInAttempt:
    request = rf.post("/api/token/")
    request.tenant = Tenant(1, "acme", "Acme", frozenset({"acme.localhost"}))  # type: ignore[attr-defined]
    return SignInAttempt(request, "alice")


def fail(attempt: SignInAttempt, times: int) -> None:
    for _ in range(times):
        attempt.failed()


def test_the_wait_is_never_longer_than_the_window(clock: Clock, attempt: SignInAttempt) -> None:
    fail(attempt, MAX_FAILURES)
    assert attempt.wait_s() == WINDOW_S
    clock.now_s += 0.5
    assert attempt.wait_s() == WINDOW_S
    clock.now_s += 29.5
    assert attempt.wait_s() == WINDOW_S - 30


def test_after_the_wait_one_attempt_is_free(clock: Clock, attempt: SignInAttempt) -> None:
    for _ in range(MAX_FAILURES):
        assert attempt.wait_s() == 0
        attempt.failed()
        clock.now_s += 2
    clock.now_s += attempt.wait_s()
    assert attempt.wait_s() == 0
    attempt.failed()
    assert attempt.wait_s() == 2


def test_a_minute_forgets_all(clock: Clock, attempt: SignInAttempt) -> None:
    fail(attempt, 3 * MAX_FAILURES)
    assert attempt.wait_s() == WINDOW_S
    clock.now_s += WINDOW_S
    assert attempt.wait_s() == 0


def test_a_clock_set_back_makes_no_longer_wait(clock: Clock, attempt: SignInAttempt) -> None:
    fail(attempt, MAX_FAILURES)
    clock.now_s -= 3600
    assert attempt.wait_s() == WINDOW_S
