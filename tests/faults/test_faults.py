"""The most telling faults of a long run (`make chaos`), and planted bugs that the judge must find in real servers."""

import asyncio
from pathlib import Path

import pytest

from tests.faults.judge import Judgement, broken, judge
from tests.faults.runs import running
from tests.faults.world import World
from tests.servers.databases import Databases
from tests.servers.tools import find_redis

pytestmark = [pytest.mark.servers, pytest.mark.redis]

TOPICS = 20


async def suffer(world: World, *names: str) -> Judgement:
    """These faults, one after the other."""
    plans = {plan.name: plan for plan in world.plans()}
    for name in names:
        await world.suffer(plans[name])
    return judge(world.recorder.events)


async def test_forks_and_a_lost_history(tmp_path: Path, databases: Databases) -> None:
    async with running("single", tmp_path, databases, "make test", topics=TOPICS) as world:
        found = await suffer(world, "a cheap fork", "a cheap fork", "FLUSHALL")
    assert not found.verdicts
    assert found.lost > 0
    assert found.told > 0
    assert found.recovered > 0


async def test_failovers_in_a_cluster(tmp_path: Path, databases: Databases) -> None:
    async with running("cluster", tmp_path, databases, "make test", topics=TOPICS, servers=2) as world:
        found = await suffer(world, "slots moved", "link cut, primary killed")
    assert not found.verdicts
    assert found.lost > 0


@pytest.mark.skipif(find_redis() is None, reason="there is no Redis")
async def test_a_redis_cluster_over_its_own_tls(
    tmp_path: Path, databases: Databases, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BROKER_SERVER", str(find_redis()))
    run = running("cluster", tmp_path, databases, "make test", topics=TOPICS, servers=2, is_tls=True)
    async with run as world:
        found = await suffer(world, "slots moved by keys", "handed over")
    assert not found.verdicts
    assert found.lost == 0


async def test_planted_bugs_are_found(tmp_path: Path, databases: Databases) -> None:
    """Two worlds side by side: most of their time is waiting."""

    async def find(bug: str) -> set[str]:
        folder = tmp_path / bug
        folder.mkdir()
        env = {"DJANGO_SETTINGS_MODULE": "tests.faults.planted", "FAULTS_PLANTED": bug}
        async with running("single", folder, databases, "make test", topics=4, servers=1, env=env) as world:
            return set(broken((await suffer(world, "a cheap fork")).verdicts))

    by_process, without_epochs = await asyncio.gather(find("run_id"), find("ignores epochs"))
    assert "name" in by_process
    assert "line" in without_epochs
