"""Token buckets, strikes, places: against what they promise over any course of time."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime.core.quota import ADDRESSES_MAX, FORGOTTEN_AT_ONCE, ConnectionQuota, HandshakeLimiter
from realtime.core.sliding_window import SlidingWindowLimiter
from realtime.core.token_bucket import TokenBucket, retry_after_ms

STEPS_S = st.lists(st.floats(0, 10, allow_nan=False), min_size=1, max_size=80)


def test_a_bucket_begins_full_and_refills() -> None:
    bucket = TokenBucket(10, 3, now_s=0)
    assert [bucket.take(0) for _ in range(3)] == [0, 0, 0]
    assert bucket.take(0) == pytest.approx(0.1)
    assert bucket.take(0.05) == pytest.approx(0.05)
    assert bucket.take(0.1001) == 0
    assert bucket.take(0.1001) > 0


def test_a_bucket_holds_no_more_than_its_burst() -> None:
    bucket = TokenBucket(10, 3, now_s=0)
    assert [bucket.take(1000) > 0 for _ in range(4)] == [False, False, False, True]


@pytest.mark.parametrize("rate_per_s", [0, -1])
def test_a_rate_of_0_is_no_limit(rate_per_s: float) -> None:
    bucket = TokenBucket(rate_per_s, 0, now_s=0)
    assert not any(bucket.take(0) for _ in range(1000))
    assert bucket.is_full(0)


def test_a_burst_below_1_lets_one_through() -> None:
    bucket = TokenBucket(1, 0.5, now_s=0)
    assert bucket.take(0) == 0
    assert bucket.take(0.5) == pytest.approx(0.5)


def test_a_clock_that_steps_back_gives_nothing_away() -> None:
    bucket = TokenBucket(10, 1, now_s=100)
    assert bucket.take(100) == 0
    assert bucket.take(50) > 0
    assert bucket.take(100) > 0


@given(STEPS_S, st.floats(0.1, 100), st.integers(1, 20))
def test_a_bucket_never_gives_more_than_burst_and_rate(
    steps_s: list[float], rate_per_s: float, burst: int
) -> None:
    bucket = TokenBucket(rate_per_s, burst, now_s=0)
    now_s, given_ = 0.0, 0
    for step_s in steps_s:
        now_s += step_s
        given_ += bucket.take(now_s) == 0
        assert given_ <= burst + rate_per_s * now_s + 1e-6


@given(STEPS_S, st.floats(0.1, 5000), st.integers(1, 20))
def test_who_waits_as_told_is_let_through(steps_s: list[float], rate_per_s: float, burst: int) -> None:
    bucket = TokenBucket(rate_per_s, burst, now_s=0)
    now_s = 1_000_000.0
    for step_s in steps_s:
        now_s += step_s
        while (wait_s := bucket.take(now_s)) == 0:
            continue
        assert wait_s <= 1 / rate_per_s + 1e-6
        assert bucket.take(now_s + retry_after_ms(wait_s) / 1000 + 1e-6) == 0
        now_s += retry_after_ms(wait_s) / 1000 + 1e-6


@given(st.lists(st.tuples(st.floats(0, 10), st.integers(0, 50)), max_size=60), st.floats(0.1, 100))
def test_a_bucket_of_bytes_never_gives_more_than_burst_and_rate_and_one(
    sizes: list[tuple[float, int]], rate_per_s: float
) -> None:
    burst = 20
    bucket = TokenBucket(rate_per_s, burst, now_s=0)
    now_s, given_ = 0.0, 0
    for step_s, size in sizes:
        now_s += step_s
        if bucket.take(now_s, size) == 0:
            # Each began within the budget; the last may reach beyond it.
            assert given_ + min(size, burst) <= burst + rate_per_s * now_s + 1e-6
            given_ += size


def test_more_than_the_burst_passes_when_the_bucket_is_full_and_is_paid_later() -> None:
    bucket = TokenBucket(10, 20, now_s=0)
    assert bucket.take(0, 50) == 0
    assert bucket.take(0, 1) == pytest.approx(3.1)
    assert bucket.take(3.2, 1) == 0
    assert bucket.take(3.2, 50) == pytest.approx(1.9)
    assert bucket.take(5.2, 50) == 0


@pytest.mark.parametrize("burst", [1, 60, 100])
def test_what_was_paid_for_the_same_thing_counts_towards_the_burst(burst: int) -> None:
    bucket = TokenBucket(10, burst, now_s=0)
    assert bucket.take(0) == 0
    assert bucket.take(0, 99, paid=1) == 0
    assert bucket.take(0) == pytest.approx((101 - burst) / 10)


def test_a_full_bucket_may_be_forgotten() -> None:
    bucket = TokenBucket(10, 3, now_s=0)
    assert bucket.is_full(0)
    bucket.take(0)
    assert not bucket.is_full(0.05)
    assert bucket.is_full(0.2)


@pytest.mark.parametrize(("wait_s", "wait_ms"), [(0, 1), (0.0001, 1), (0.001, 1), (0.0011, 2), (2.5, 2500)])
def test_waits_are_whole_milliseconds_rounded_up(wait_s: float, wait_ms: int) -> None:
    assert retry_after_ms(wait_s) == wait_ms


def test_twenty_in_five_seconds_are_forgiven() -> None:
    strikes = SlidingWindowLimiter(20, 5)
    assert not any(strikes.add(number * 0.25) for number in range(20))
    assert strikes.add(5.0)
    assert strikes.add(5.0)
    assert not strikes.add(60)


@given(STEPS_S, st.integers(0, 6), st.floats(0.5, 20))
def test_strikes_count_those_within_the_window(steps_s: list[float], limit: int, window_s: float) -> None:
    strikes = SlidingWindowLimiter(limit, window_s)
    times_s: list[float] = []
    now_s = 0.0
    for step_s in steps_s:
        now_s += step_s
        times_s.append(now_s)
        within = sum(now_s - time_s <= window_s for time_s in times_s)
        assert strikes.add(now_s) == (within > limit)


def test_places_are_bounded_by_key_and_given_back() -> None:
    places = ConnectionQuota()
    assert places.take("one", "a", 2)
    assert places.take("one", "b", 1)
    assert places.take("two", "a", 2)
    assert not places.take("two", "a", 2)
    assert not places.take("two", "b", 1)
    assert places.take("two", "a", 0)
    assert places.count("a") == 3
    places.release("two")
    assert places.count("a") == 1
    places.release("one")
    assert places.count("a") == places.count("b") == 0
    assert (places._taken, places._held) == ({}, {})


def test_too_many_failures_keep_an_address_out_for_a_while() -> None:
    attempts = HandshakeLimiter(1, 3)
    for _ in range(3):
        attempts.failed("1.2.3.4", 0)
        assert attempts.wait_s("1.2.3.4", 0) == 0
    attempts.failed("1.2.3.4", 0)
    assert attempts.wait_s("1.2.3.4", 0) == pytest.approx(1)
    assert attempts.wait_s("5.6.7.8", 0) == 0
    assert attempts.wait_s("1.2.3.4", 1.5) == 0


def test_failures_of_ever_new_addresses_take_no_ever_growing_memory() -> None:
    attempts = HandshakeLimiter(0.001, 1)
    for number in range(25_000):
        for _ in range(2):
            attempts.failed(f"a{number}", float(number))
    assert len(attempts._buckets) <= 10_000
    assert len(attempts._blocked_until_s) <= 10_000


def test_many_addresses_that_fail_do_not_unblock_each_other() -> None:
    limiter = HandshakeLimiter(rate_per_s=0.01, burst=1)
    for number in range(ADDRESSES_MAX):
        for _ in range(2):
            limiter.failed(f"a{number}", 0.0)
    limiter.failed("one more", 0.0)
    blocked = sum(limiter.wait_s(f"a{number}", 1.0) > 0 for number in range(ADDRESSES_MAX))
    assert ADDRESSES_MAX - FORGOTTEN_AT_ONCE <= blocked < ADDRESSES_MAX
    assert limiter.wait_s(f"a{ADDRESSES_MAX - 1}", 1.0) > 0
