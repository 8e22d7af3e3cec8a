"""The idempotency keys of a tenant: each publisher's own, bounded, and swept by time."""

from realtime.core.position import Position
from realtime.core.used_keys import Used, UsedKeys, key_name


def used(at_s: float, fingerprint: str = "f") -> Used:
    return Used(fingerprint, Position("e", 1), at_s)


def name(number: int) -> bytes:
    return key_name("t", f"k{number}")


def test_a_key_is_found_until_its_time_is_over() -> None:
    keys = UsedKeys(ttl_s=10)
    keys.remember(1, name(1), used(0))
    assert keys.find(1, name(1), 9.9) == used(0)
    assert keys.find(2, name(1), 0) is None
    assert keys.find(None, name(1), 0) is None
    assert keys.find(1, name(2), 0) is None
    assert keys.find(1, name(1), 10) is None
    keys.remember(1, name(1), used(10, "g"))
    assert keys.find(1, name(1), 10) == used(10, "g")
    assert len(keys) == 1


def test_the_publisher_who_holds_the_most_gives_the_oldest() -> None:
    keys = UsedKeys(ttl_s=10)
    for number in range(3):
        keys.remember(None, name(number), used(0))
    keys.remember(1, name(7), used(0))
    keys.drop_one()
    assert keys.find(None, name(0), 0) is None
    assert keys.find(None, name(1), 0) is not None
    keys.drop_one()
    assert keys.find(1, name(7), 0) is not None
    assert len(keys) == 2


def test_a_sweep_drops_what_is_over_and_is_bounded() -> None:
    keys = UsedKeys(ttl_s=10)
    for number in range(100):
        keys.remember(number % 7, name(number), used(number / 10))
    assert keys.sweep(10, 20) <= 21
    assert len(keys) == 99
    for _ in range(20):
        keys.sweep(15, 20)
    assert len(keys) == 49
    for _ in range(20):
        keys.sweep(100, 20)
    assert len(keys) == 0
    assert keys.sweep(100, 20) == 0


def test_topic_and_key_do_not_run_together() -> None:
    assert key_name("ab", "c") != key_name("a", "bc")
