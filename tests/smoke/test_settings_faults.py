"""A wrong variable stops the start, and all that are wrong are named at once."""

import contextlib
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.servers.databases import REPOSITORY, base_environment, run_python

FAULTY = {
    "SECRET_KEY": "short",
    "DATABASE_URL": "mysql://somewhere/else",
    "REDIS_URL": "http://not-redis",
    "CACHE_URL": "redis+cluster://a,b",
    "CHANNEL_REDIS_URL": "redis+cluster://a,b",
    "ACCESS_TOKEN_LIFETIME_S": "soon",
    "REALTIME_MESSAGES_PER_S": "many",
    "REALTIME_MESSAGES_BURST": "-1",
    "REALTIME_BYTES_PER_S": "1MiB",
    "REALTIME_BYTES_BURST": "-1",
    "REALTIME_MAX_CONNECTIONS": "1.5",
    "REALTIME_MAX_CONNECTIONS_PER_IP": "x",
    "REALTIME_MAX_CONNECTIONS_PER_USER": "-5",
    "REALTIME_TRUSTED_PROXIES": "my-proxy",
    "REALTIME_HTTP_HEAD_TIMEOUT_S": "-1",
    "REALTIME_HTTP_BODY_BYTES": "2MiB",
    "REALTIME_HTTP_BODIES_BYTES": "-1",
    "REALTIME_IDLE_TIMEOUT_S": "nan",
    "REALTIME_POOL_SIZE": "x",
    "REALTIME_PING_INTERVAL_S": "-1",
    "REALTIME_PING_TIMEOUT_S": "inf",
    "REALTIME_OUTBOX_BYTES": "1MiB",
    "REALTIME_OUTBOXES_BYTES": "-1",
    "REALTIME_OUTBOX_STALL_S": "nan",
    "REALTIME_DRAIN_S": "-0.1",
    "REALTIME_DATABASE_THREADS": "0",
    "REALTIME_ALLOWED_ORIGINS": "app.example.com",
    "REALTIME_DEVELOPMENT_HOSTS": "localhost:8000",
    "REALTIME_IDENTITY": "nobody",
    "REALTIME_ROUTES": "no_such_package.routing",
    "API_DOCS": "perhaps",
    "HTTPS": "perhaps",
}
# What the standard library, not we, fails on.
BROKEN = {
    "DATABASE_URL": "postgresql://host:port/name",
    "REDIS_URL": "redis://[x",
    "REALTIME_ALLOWED_ORIGINS": "https://app.example.com:99999",
    "ACCESS_TOKEN_LIFETIME_S": "1000000000000000000",
    "REFRESH_TOKEN_LIFETIME_S": "9" * 5000,
    "REALTIME_DRAIN_S": "1e400",
}
A_KEY = "a-key-for-tests-only-0123456789-abcdefghijklmnop"


def start(env: dict[str, str], *command: str) -> "subprocess.CompletedProcess[str]":
    """Try to start `manage.py` with these settings."""
    return run_python("manage.py", *command, env=base_environment() | env)


COMMANDS = [
    ("check",),
    ("migrate",),
    ("run_demo",),
    ("serve", "--port", "0"),
    ("runserver", "--noreload"),
    ("shell", "-c", "pass"),
    ("help",),
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_all_faulty_variables_are_named_at_once(command: tuple[str, ...]) -> None:
    assert_names_each_once(start(FAULTY, *command), FAULTY)


@pytest.mark.parametrize("debug", ["0", "1", "perhaps"])
def test_what_cannot_be_read_is_named_too(debug: str) -> None:
    faults = BROKEN | ({"DEBUG": debug} if debug == "perhaps" else {})
    assert_names_each_once(start({"DEBUG": debug} | BROKEN, "check"), faults)


def test_other_ways_to_start_say_the_same() -> None:
    done = run_python("-c", "import rockstar_site.asgi", env=base_environment() | FAULTY)
    assert_names_each_once(done, FAULTY)


def assert_names_each_once(done: "subprocess.CompletedProcess[str]", faults: dict[str, str]) -> None:
    """It ended, with one line for each of `faults` and nothing else but what they are lines of."""
    assert done.returncode == 1, done.stdout + done.stderr
    assert done.stdout == ""
    head, *lines = done.stderr.splitlines()
    assert "environment variables are wrong" in head
    assert [line.strip().partition(":")[0] for line in lines] == sorted(faults)


WEAK = ["a" * 40, "ab" * 20, "abcdefghijkl" * 4, "0" * 64, "passwordpassword" * 3]


@pytest.mark.parametrize("key", ["", *WEAK])
def test_a_key_that_can_be_guessed_is_refused_outside_of_development(key: str) -> None:
    done = start({"DEBUG": "0", "SECRET_KEY": key}, "check")
    assert_names_each_once(done, {"SECRET_KEY": key})
    assert "token_urlsafe" in done.stderr
    if key:
        assert key not in done.stderr


def test_the_way_to_a_key_that_is_told_works() -> None:
    told = start({"DEBUG": "0", "SECRET_KEY": ""}, "check").stderr
    code = told.partition("python3 -c '")[2].partition("'")[0]
    made = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    done = start({"DEBUG": "0", "SECRET_KEY": made.stdout.strip()}, "check")
    assert done.returncode == 0, done.stderr


def test_without_any_environment_nothing_is_development() -> None:
    env = {name: value for name, value in base_environment().items() if name not in {"DEBUG", "SECRET_KEY"}}
    done = run_python("manage.py", "check", env=env)
    assert_names_each_once(done, {"SECRET_KEY": ""})
    assert "DEBUG=1" in done.stderr


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
    assert "\nDEBUG=0\n" in example


def test_the_defaults_of_the_example_start() -> None:
    example = (REPOSITORY / ".env.example").read_text()
    pairs = [line.partition("=") for line in example.splitlines() if "=" in line and not line.startswith("#")]
    done = start({name: value for name, _, value in pairs} | {"SECRET_KEY": A_KEY}, "check")
    assert done.returncode == 0, done.stdout + done.stderr


AWAY = "postgresql://nobody:hunter2@127.0.0.1:1/none"


@pytest.mark.parametrize(
    ("url", "command"),
    [
        (AWAY, "serve --port 1"),
        (AWAY, "run_demo --port 1"),
        (AWAY, "runserver --noreload"),
        (AWAY, "migrate"),
        (AWAY, "create_tenant acme acme.example"),
        (AWAY, "rt bans"),
        ("sqlite:////dev", "serve --port 1"),
        ("sqlite:////dev", "migrate"),
    ],
)
def test_a_database_that_is_away_ends_a_command_with_one_line(url: str, command: str) -> None:
    done = start({"DATABASE_URL": url}, *command.split())
    output = done.stdout + done.stderr
    assert done.returncode == 1
    assert [line for line in output.splitlines() if "DATABASE_URL" in line] == output.splitlines()
    assert output.count("\n") == 1
    assert "hunter2" not in output


def test_a_database_without_tables_says_how_to_make_them(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/db.sqlite3"
    done = start({"DATABASE_URL": url}, "create_tenant", "acme", "acme.example", "--staff", "admin")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "manage.py migrate" in done.stderr
    asked = start({"DATABASE_URL": url}, "rt", "bans")
    assert (asked.returncode, asked.stderr.count("\n")) == (1, 1)
    assert "manage.py migrate" in asked.stderr
    shown = start({"DATABASE_URL": url}, "create_tenant", "acme", "acme.example", "--traceback")
    assert "Traceback" in shown.stderr


def test_the_demo_touches_no_database_of_production(tmp_path: Path) -> None:
    done = start({"DEBUG": "0", "DATABASE_URL": f"sqlite:///{tmp_path}/db.sqlite3"}, "run_demo")
    assert done.returncode == 1
    assert "DEBUG=1" in done.stderr
    assert (tmp_path / "db.sqlite3").stat().st_size == 0


def test_a_development_server_without_its_tables_says_how_to_make_them(tmp_path: Path) -> None:
    done = start({"DATABASE_URL": f"sqlite:///{tmp_path}/db.sqlite3"}, "runserver", "--noreload", "1")
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        'CommandError: The database has no tables of "realtime" yet. Run: manage.py migrate'
    ]


def test_seeding_wants_debug_or_force(tmp_path: object) -> None:
    env = {"DEBUG": "0", "DATABASE_URL": f"sqlite:///{tmp_path}/db.sqlite3"}
    assert start(env, "migrate", "--verbosity", "0").returncode == 0
    refused = start(env, "seed_demo")
    assert refused.returncode != 0
    assert "DEBUG=1" in refused.stderr
    assert "--force" in refused.stderr
    assert start(env, "seed_demo", "--force").returncode == 0
    again = start(env, "seed_demo", "--force")
    assert again.returncode == 0, again.stdout + again.stderr
    for each in Path(str(tmp_path)).glob("db.sqlite3*"):
        assert stat.S_IMODE(each.stat().st_mode) == 0o600, each
    with contextlib.closing(sqlite3.connect(f"{tmp_path}/db.sqlite3")) as database:
        (password,) = database.execute(
            "SELECT password FROM accounts_user WHERE username = 'alice'"
        ).fetchone()
    # Not the one of tests/settings.py.
    assert password.startswith("pbkdf2_sha256$")


def test_a_proxy_that_is_no_address_is_named() -> None:
    done = start({}, "serve", "--trusted-proxies", "127.0.0.1,my-proxy")
    assert done.returncode != 0
    assert "--trusted-proxies" in done.stderr
    assert "'my-proxy'" in done.stderr
    assert "Traceback" not in done.stderr
