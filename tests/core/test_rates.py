from realtime.core.rates import Rates


def test_the_first_look_gives_zeros() -> None:
    rates: Rates[str] = Rates()
    assert rates.update({"in": 500}, now_s=10.0) == {"in": 0.0}


def test_a_rate_is_the_rise_per_second() -> None:
    rates: Rates[str] = Rates()
    rates.update({"in": 500, "out": 0}, now_s=10.0)
    assert rates.update({"in": 520, "out": 3}, now_s=12.0) == {"in": 10.0, "out": 1.5}
    assert rates.update({"in": 520, "out": 4}, now_s=13.0) == {"in": 0.0, "out": 1.0}


def test_a_new_counter_rose_from_zero_and_a_gone_one_is_forgotten() -> None:
    rates: Rates[str] = Rates()
    rates.update({"in": 1}, now_s=0.0)
    assert rates.update({"out": 4}, now_s=2.0) == {"out": 2.0}
    assert rates.update({"in": 2, "out": 4}, now_s=3.0) == {"in": 2.0, "out": 0.0}


def test_a_counter_that_fell_began_anew() -> None:
    rates: Rates[str] = Rates()
    rates.update({"in": 100}, now_s=0.0)
    assert rates.update({"in": 6}, now_s=2.0) == {"in": 3.0}


def test_two_looks_at_the_same_time_lose_nothing() -> None:
    rates: Rates[str] = Rates()
    rates.update({"in": 0}, now_s=1.0)
    assert rates.update({"in": 5}, now_s=1.0) == {"in": 0.0}
    assert rates.update({"in": 10}, now_s=2.0) == {"in": 10.0}
