"""The most telling faults of a long run (`make chaos`), and planted bugs that the judge must find in real servers."""

from pathlib import Path

import pytest

from tests.faults.judge import Judgement, broken, judge
from tests.faults.runs import running
from tests.faults.world import World
from tests.servers.databases import Databases

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
    async with running("cluster", tmp_path, databases, "make test", topics=TOPICS) as world:
        found = await suffer(world, "slots moved", "link cut, primary killed")
    assert not found.verdicts
    assert found.lost > 0


@pytest.mark.parametrize(("bug", "rule"), [("run_id", "name"), ("ignores epochs", "line")])
async def test_a_planted_bug_is_found(bug: str, rule: str, tmp_path: Path, databases: Databases) -> None:
    env = {"DJANGO_SETTINGS_MODULE": "tests.faults.planted", "FAULTS_PLANTED": bug}
    async with running("single", tmp_path, databases, "make test", topics=4, servers=1, env=env) as world:
        found = await suffer(world, "a cheap fork")
    assert rule in broken(found.verdicts)
