"""Processes that are killed between commit and publish: nothing lost, nothing twice, in order."""

import json
import subprocess
import sys

import pytest

from tests.servers.databases import QUICK, REPOSITORY, Databases, base_environment

pytestmark = [pytest.mark.servers, pytest.mark.redis]

KILLS = 24


@pytest.mark.parametrize("kind", ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def test_what_a_killed_process_left_is_sent_once_and_in_order(
    kind: str, databases: Databases, valkey_url: str
) -> None:
    url = databases.sqlite() if kind == "sqlite" else databases.postgres()
    # Another number of the server: the two share it.
    redis_url = valkey_url.removesuffix("/0") + ("/1" if kind == "sqlite" else "/2")
    command = [sys.executable, "-m", "tests.kills", "--kills", str(KILLS)]
    command += ["--database-url", url, "--redis-url", redis_url]
    done = subprocess.run(
        command,
        cwd=REPOSITORY,
        env=base_environment() | QUICK,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["committed"] == found["published"] >= KILLS
    assert found["left_by_the_killed"] > 0
