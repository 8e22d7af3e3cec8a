"""The memory of profiles."""

import asyncio

import pytest

from accounts.profiles import Known, Profiles

ALICE = {"id": 2, "username": "alice"}


def test_what_is_known_is_known_for_a_while() -> None:
    now_s = 0.0
    profiles = Profiles(ttl_s=1.0, clock=lambda: now_s)
    assert profiles.get((1, 2)) is None
    profiles.put((1, 2), ALICE)
    now_s = 0.5
    profiles.put((1, 3), None)
    now_s = 0.9
    assert profiles.get((1, 2)) == Known(ALICE, until_s=1.0)
    now_s = 1.0
    assert profiles.get((1, 2)) is None
    # That there is nobody is known as well.
    assert profiles.get((1, 3)) == Known(None, until_s=1.5)


def test_a_change_is_not_waited_for() -> None:
    profiles = Profiles()
    profiles.put((1, 2), ALICE)
    profiles.forget((1, 2))
    profiles.forget((1, 2))
    assert profiles.get((1, 2)) is None


def test_a_full_one_drops_the_oldest() -> None:
    profiles = Profiles(size=2)
    for name in ("alice", "bob", "alice", "carol"):
        profiles.put(name, None)
    assert [key for key in ("alice", "bob", "carol") if profiles.get(key)] == ["alice", "carol"]


class Database:
    """Answers when it is told to, and counts how often it was asked."""

    def __init__(self) -> None:
        self.asked = 0
        self.answer: asyncio.Future[dict[str, object] | None] = asyncio.get_running_loop().create_future()

    async def look_up(self) -> dict[str, object] | None:
        self.asked += 1
        return await self.answer


async def test_those_who_ask_at_once_wait_for_one_look() -> None:
    profiles, database = Profiles(), Database()
    asking = [asyncio.create_task(profiles.load("alice", database.look_up)) for _ in range(5)]
    await asyncio.sleep(0)
    asking[0].cancel()
    await asyncio.sleep(0)
    database.answer.set_result(ALICE)
    assert await asyncio.gather(*asking[1:]) == [ALICE] * 4
    assert asking[0].cancelled()
    assert database.asked == 1
    assert profiles.get("alice") is not None


async def test_a_failed_look_is_told_to_all_and_not_kept() -> None:
    profiles, database = Profiles(), Database()
    asking = [asyncio.create_task(profiles.load("alice", database.look_up)) for _ in range(2)]
    await asyncio.sleep(0)
    database.answer.set_exception(LookupError("away"))
    for each in asking:
        with pytest.raises(LookupError):
            await each
    assert profiles.get("alice") is None
    again = Database()
    again.answer.set_result(ALICE)
    assert await profiles.load("alice", again.look_up) == ALICE


async def test_what_changed_during_the_look_is_looked_up_again() -> None:
    profiles, before, after = Profiles(), Database(), Database()
    first = asyncio.create_task(profiles.load("alice", before.look_up))
    await asyncio.sleep(0)
    profiles.forget("alice")
    second = asyncio.create_task(profiles.load("alice", after.look_up))
    await asyncio.sleep(0)
    changed = ALICE | {"status": "away"}
    after.answer.set_result(changed)
    assert await second == changed
    before.answer.set_result(ALICE)
    assert await first == ALICE
    known = profiles.get("alice")
    assert known is not None
    assert known.profile == changed
