"""`@simulate`: a stranger's methods and rules in many worlds; a mistake is found, named by its seed, and repeated."""

import asyncio
import random
import time
from typing import Any

import pytest
from django.db import transaction
from django.test import TestCase, override_settings
from pytest_django import Settings

from accounts.models import User
from realtime import CredentialKind, Identity, TopicRule, owner, publish
from realtime.endpoints.registry import Registry
from realtime.testing import World, simulate
from tests.slowness import slowness
from tests.testing import somebodys_realtime

RULES = {"TOPIC_RULES": {"orders": TopicRule(), "user": TopicRule(subscribe=owner)}}
ANN = Identity("ann", "ann", "main", frozenset({"pubsub:publish"}), CredentialKind.SESSION)


@pytest.fixture(autouse=True)
def _project(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.REALTIME = RULES
    monkeypatch.delenv("SEED", raising=False)
    monkeypatch.setattr(Registry, "discover", somebodys_realtime.registry)


@simulate(worlds=40)
async def test_followers_miss_nothing(world: World) -> None:
    followers = [world.follow("orders:7", user=ANN) for _ in range(3)]
    for number in range(10):
        await world.publish("orders:7", number)
        await world.pause()
    await world.heal()
    for each in followers:
        assert each.data == list(range(10))[-len(each.data) or 10 :]


@simulate(worlds=20)
async def test_a_topic_of_ones_own_is_for_nobody_else(world: World) -> None:
    own, others = world.follow("user:ann", user=ANN), world.follow("user:ben", user=ANN)
    await own.ready()
    await world.publish("user:ann", 1)
    await others.ready()
    assert others.refusal == "permission_denied"


@simulate(worlds=20)
async def test_a_method_that_publishes_from_a_thread(world: World) -> None:
    follower = await world.follow("orders:7").ready()
    async with world.connect("/ws/rpc/", user=ANN) as one, world.connect("/ws/rpc/", user=ANN) as other:
        replies = await asyncio.gather(*(each.request("order.ship", {"number": 7}) for each in (one, other)))
    assert sorted(each["offset"] for each in replies) == [1, 2]
    await world.heal()
    assert follower.data == [{"state": "shipped"}] * 2


async def two_take_a_seat(world: World) -> None:
    somebodys_realtime.TAKEN.clear()

    async def take() -> bool:
        await world.pause()
        async with world.connect("/ws/rpc/", user=ANN) as socket:
            reply = await socket.request("seat.take", {"seat": "7A"})
        return bool(reply["taken"])

    assert (await asyncio.gather(take(), take())).count(True) == 1


def test_a_mistake_is_found_and_its_seed_repeats_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = simulate(worlds=300)(two_take_a_seat)
    with pytest.raises(AssertionError) as found:
        run()
    [note] = found.value.__notes__
    seed = note.split()[1]
    assert f"SEED={seed}" in note
    assert f"SEED={seed}" in capsys.readouterr().out
    monkeypatch.setenv("SEED", seed)
    with pytest.raises(AssertionError) as again:
        run()
    assert again.value.__notes__ == [note]


def test_a_handler_that_fails_fails_the_world() -> None:
    @simulate(worlds=1)
    async def run(world: World) -> None:
        async with world.connect("/ws/rpc/", user=ANN) as socket:
            await socket.assert_reply(await socket.send("order.fail"), "error", {"code": "internal"})

    with pytest.raises(AssertionError, match=r"order\.fail.*ZeroDivisionError"):
        run()


def test_a_loss_that_nobody_tells_of_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("realtime.topics.hub.Hub.compare", _compare_nothing)
    monkeypatch.setattr("realtime.topics.hub.Hub.arrived", lambda hub, arrival: None)
    with pytest.raises(AssertionError, match="follower 1 of orders:7: it is at"):
        simulate(worlds=20)(publishes_on_every_node)()


async def _compare_nothing(*args: Any, **kwargs: Any) -> None:
    return


async def publishes_on_every_node(world: World) -> None:
    await world.follow("orders:7").ready()
    for each in world.nodes:
        await each.publish("orders:7", 1)


def logs(worlds: int) -> list[list[str]]:
    """Return the logs of the first worlds of a test."""
    found: list[list[str]] = []

    @simulate(worlds=worlds)
    async def run(world: World) -> None:
        await asyncio.gather(*(world.follow("orders:7", user=ANN).ready() for _ in range(3)))
        for number in range(5):
            await world.publish("orders:7", number)
            await world.pause()
        await world.heal()
        found.append(list(world.log))

    run()
    return found


def test_the_same_seed_is_the_same_world() -> None:
    first = logs(8)
    assert first == logs(8)
    assert len({tuple(each) for each in first}) == 8


def test_the_random_numbers_of_the_system_follow_from_the_seed() -> None:
    found: list[float] = []

    @simulate(worlds=2)
    async def run(world: World) -> None:
        # Nodes spread their sweeps by it.
        found.append(random.SystemRandom().uniform(0, 1))

    run()
    run()
    assert found[:2] == found[2:]
    assert len(set(found)) == 2
    assert random.SystemRandom().uniform(0, 1) not in found


def test_minutes_take_no_time() -> None:
    @simulate(worlds=1)
    async def run(world: World) -> None:
        async with world.connect() as socket:
            await world.pause(300)
            await socket.request("ping")

    begun_s = time.process_time()
    run()
    assert time.process_time() - begun_s < 10 * slowness()


@pytest.mark.parametrize("text", ["x", "-1", "1.5"])
def test_a_seed_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("SEED", text)
    with pytest.raises(ValueError, match="whole number"):
        simulate()(two_take_a_seat)()


@pytest.mark.parametrize("worlds", [0, 100_001])
def test_the_number_of_worlds_is_bounded(worlds: int) -> None:
    with pytest.raises(ValueError, match="worlds"):
        simulate(worlds=worlds)


def test_a_test_that_never_ends_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("realtime.testing.worlds.TEST_S", 20.0)

    @simulate(worlds=1)
    async def run(world: World) -> None:
        await asyncio.Event().wait()

    with pytest.raises(AssertionError, match="not ended within 20 s"):
        run()


def test_what_is_no_test_is_refused() -> None:
    with pytest.raises(TypeError, match="with parentheses"):
        simulate(two_take_a_seat)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="Expected an `async def`"):
        simulate()(lambda world: None)  # type: ignore[arg-type,return-value]


def test_a_test_without_a_world_is_refused() -> None:
    async def run() -> None: ...

    with pytest.raises(TypeError, match="needs a parameter `world`"):
        simulate()(run)


@pytest.fixture
def ann(db: None) -> User:
    return User.objects.create(username="ann")


@simulate(worlds=3)
async def test_each_world_begins_with_the_rows_of_the_fixtures(world: World, ann: User) -> None:
    assert await User.objects.acount() == 1
    await User.objects.acreate(username="ben")
    async with world.connect(user=ann) as socket:
        assert (await socket.assert_push("welcome"))["user"]["username"] == "ann"


@override_settings(REALTIME=RULES)
class InTestCase(TestCase):
    """Django's own test case."""

    @simulate(worlds=3)
    async def test_a_service_publishes_when_it_commits(self, world: World) -> None:
        follower = await world.follow("orders:7").ready()
        await world.nodes[0].node.database.run(self._ship)
        await world.heal()
        assert (follower.data, await User.objects.acount()) == (["shipped"], 1)

    @staticmethod
    def _ship() -> None:
        with transaction.atomic():
            User.objects.create(username="shipped")
            publish("orders:7", "shipped")
