"""Seeded worlds, those that ever failed, and the planted bugs: in a process of their own, whose time is not real."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.simulation.mutants import pinned_seeds
from tests.simulation.seeds import commit_seed

ROOT = Path(__file__).parents[2]
# In parts, so that the processes of the suite can share them.
WORLDS, PARTS = 100, 3


def simulate(*arguments: str, is_ok: bool = True) -> str:
    """What the simulator says; it must end well."""
    command = [sys.executable, "-m", "tests.simulation", *arguments]
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings"}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=110, check=False
    )
    assert (done.returncode == 0) is is_ok, f"{done.stdout[-30_000:]}\n{done.stderr[-5_000:]}"
    return done.stdout


@pytest.mark.parametrize("part", range(PARTS))
def test_the_worlds_of_this_commit(part: int) -> None:
    first = str(commit_seed() + part * WORLDS)
    assert ", 0 failed" in simulate("run", "--first", first, "--worlds", str(WORLDS), "--jobs", "1")


def test_the_worlds_that_ever_failed() -> None:
    assert ", 0 failed" in simulate("run", "--worlds", "0", "--failed-seeds", "--jobs", "1")


def test_every_planted_bug_is_found_on_its_pinned_seed() -> None:
    assert "NOT FOUND" not in simulate("mutants", "--pinned")


def test_the_same_seed_is_the_same_run() -> None:
    arguments = ("run", "--json", "--first", "1", "--worlds", "15")
    assert simulate(*arguments) == simulate(*arguments)


@pytest.mark.parametrize("other", [["--off", "subscribe"], ["--without", "0,1,2,3,4,5"]])
def test_another_world_is_another_run(other: list[str]) -> None:
    assert simulate("seed", "1").splitlines()[0] != simulate("seed", "1", *other).splitlines()[0]


def test_a_world_that_fails_says_its_seed_and_its_log() -> None:
    mutant = "what arrives twice is delivered twice"
    seed = str(pinned_seeds()[mutant])
    shown = simulate("seed", seed, "--mutant", mutant, "--shrink", is_ok=False)
    assert f"World {seed} (" in shown
    assert "Smaller: --without" in shown
    assert "order at" in shown
