"""A wrong variable stops the start, and all that are wrong are named at once."""

import contextlib
import sqlite3
import subprocess
import sys

import pytest

from tests.servers.databases import REPOSITORY, base_environment

FAULTY = {
    "SECRET_KEY": "short",
    "DATABASE_URL": "mysql://somewhere/else",
    "REDIS_URL": "http://not-redis",
    "ACCESS_TOKEN_LIFETIME_S": "soon",
    "REALTIME_MESSAGES_PER_S": "many",
    "REALTIME_MESSAGES_BURST": "-1",
    "REALTIME_MAX_CONNECTIONS": "1.5",
    "REALTIME_MAX_CONNECTIONS_PER_IP": "x",
    "REALTIME_MAX_CONNECTIONS_PER_USER": "-5",
    "REALTIME_IDLE_TIMEOUT_S": "nan",
    "REALTIME_POOL_SIZE": "x",
    "REALTIME_PING_INTERVAL_S": "-1",
    "REALTIME_PING_TIMEOUT_S": "inf",
    "REALTIME_OUTBOX_BYTES": "1MiB",
    "REALTIME_DRAIN_S": "-0.1",
    "REALTIME_ALLOWED_ORIGINS": "app.example.com",
}


def start(env: dict[str, str], *command: str) -> "subprocess.CompletedProcess[str]":
    """Try to start `manage.py` with these settings."""
    return subprocess.run(
        [sys.executable, str(REPOSITORY / "manage.py"), *command],
        env=base_environment() | env,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("command", [("check",), ("serve", "--port", "0")])
def test_all_faulty_variables_are_named_at_once(command: tuple[str, ...]) -> None:
    done = start(FAULTY, *command)
    assert done.returncode != 0
    output = done.stdout + done.stderr
    missing = [name for name in FAULTY if name not in output]
    assert missing == [], output


@pytest.mark.parametrize("name", ["SECRET_KEY", "REALTIME_POOL_SIZE", "REALTIME_ALLOWED_ORIGINS"])
def test_only_the_faulty_one_is_named(name: str) -> None:
    done = start({name: FAULTY[name]}, "check")
    output = done.stdout + done.stderr
    assert done.returncode != 0
    assert name in output
    assert [other for other in FAULTY if other in output and other not in name] == []


def test_a_secret_is_not_repeated_in_the_message() -> None:
    done = start({"SECRET_KEY": "hunter2-hunter2"}, "check")
    assert "hunter2" not in done.stdout + done.stderr


def test_every_variable_is_in_the_example() -> None:
    example = (REPOSITORY / ".env.example").read_text()
    names = {
        line.partition("=")[0] for line in example.splitlines() if "=" in line and not line.startswith("#")
    }
    assert names >= FAULTY.keys() | {"DEBUG", "METRICS_TOKEN"}


def test_the_defaults_of_the_example_start() -> None:
    example = (REPOSITORY / ".env.example").read_text()
    pairs = [line.partition("=") for line in example.splitlines() if "=" in line and not line.startswith("#")]
    done = start({name: value for name, _, value in pairs}, "check")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("url", ["postgresql://nobody:hunter2@127.0.0.1:1/none", "sqlite:////dev"])
def test_a_database_that_is_away_ends_the_start_with_one_line(url: str) -> None:
    done = start({"DATABASE_URL": url}, "serve", "--port", "1")
    output = done.stdout + done.stderr
    assert done.returncode == 1
    assert "DATABASE_URL" in output
    assert "Traceback" not in output
    assert "hunter2" not in output


def test_seeding_wants_debug_or_force(tmp_path: object) -> None:
    env = {"DEBUG": "0", "DATABASE_URL": f"sqlite:///{tmp_path}/db.sqlite3"}
    assert start(env, "migrate", "--verbosity", "0").returncode == 0
    assert start(env, "seed_demo").returncode != 0
    assert start(env, "seed_demo", "--force").returncode == 0
    again = start(env, "seed_demo", "--force")
    assert again.returncode == 0, again.stdout + again.stderr
    with contextlib.closing(sqlite3.connect(f"{tmp_path}/db.sqlite3")) as database:
        (password,) = database.execute(
            "SELECT password FROM accounts_user WHERE username = 'alice'"
        ).fetchone()
    # Not the one of tests/settings.py.
    assert password.startswith("pbkdf2_sha256$")
