"""The memory of profiles."""

from accounts.profiles import Known, Profiles

ALICE = {"id": 2, "username": "alice"}


def test_what_is_known_is_known_for_a_while() -> None:
    profiles = Profiles(ttl_s=1.0)
    assert profiles.get((1, 2), 0.0) is None
    profiles.put((1, 2), ALICE, 0.0)
    profiles.put((1, 3), None, 0.5)
    assert profiles.get((1, 2), 0.9) == Known(ALICE, 1.0)
    assert profiles.get((1, 2), 1.0) is None
    # That there is nobody is known as well.
    assert profiles.get((1, 3), 1.0) == Known(None, 1.5)


def test_a_change_is_not_waited_for() -> None:
    profiles = Profiles()
    profiles.put((1, 2), ALICE, 0.0)
    profiles.forget((1, 2))
    profiles.forget((1, 2))
    assert profiles.get((1, 2), 0.0) is None


def test_it_does_not_grow() -> None:
    profiles = Profiles(size=2)
    for user_id in range(5):
        profiles.put((1, user_id), None, 0.0)
    assert sum(profiles.get((1, user_id), 0.0) is not None for user_id in range(5)) <= 2
