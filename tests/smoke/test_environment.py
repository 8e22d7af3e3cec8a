"""What is made of the environment: defaults, the key that is kept, the modes of files."""

import os
import stat
from pathlib import Path
from threading import Barrier, Thread
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from rockstar_site.env import Environment, is_server, log_format_of, read_environment


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DEBUG", "SECRET_KEY", "API_DOCS", "DATABASE_URL", "REDIS_URL", "HTTPS"):
        monkeypatch.delenv(name, raising=False)


def read(monkeypatch: pytest.MonkeyPatch, folder: Path, **variables: str) -> Environment:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return read_environment(folder)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


A_KEY = "a-key-for-tests-only-0123456789-abcdefghijklmnop"


def test_a_site_that_says_nothing_is_production(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    found = read(monkeypatch, tmp_path, SECRET_KEY=A_KEY)
    assert not found.debug
    assert not found.api_docs
    assert not (tmp_path / "var" / "secret_key").exists()


@pytest.mark.parametrize(
    ("debug", "api_docs", "expected"),
    [("1", "", True), ("0", "", False), ("1", "0", False), ("0", "1", True), ("0", "true", True)],
)
def test_the_pages_of_the_api_follow_debug_unless_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, debug: str, api_docs: str, expected: bool
) -> None:
    found = read(monkeypatch, tmp_path, SECRET_KEY=A_KEY, DEBUG=debug, API_DOCS=api_docs)
    assert found.api_docs is expected


def test_a_key_is_made_once_and_kept_for_its_owner(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    first = read(monkeypatch, tmp_path, DEBUG="1", SECRET_KEY="").secret_key
    assert len(first) >= 32
    assert read(monkeypatch, tmp_path).secret_key == first
    assert mode(tmp_path / "var" / "secret_key") == 0o600
    assert {each.name for each in (tmp_path / "var").iterdir()} == {"secret_key", "db.sqlite3"}


def test_processes_that_start_at_once_have_one_key(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DEBUG", "1")
    keys: list[str] = []
    ready = Barrier(8)

    def start() -> None:
        ready.wait()
        keys.append(read_environment(tmp_path).secret_key)

    threads = [Thread(target=start) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(keys) == 8
    assert set(keys) == {(tmp_path / "var" / "secret_key").read_text()}


def test_a_new_database_is_its_owners_only(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    old = os.umask(0o000)
    try:
        read(monkeypatch, tmp_path, SECRET_KEY=A_KEY)
        read(monkeypatch, tmp_path, DATABASE_URL=f"sqlite:///{tmp_path}/other.sqlite3")
    finally:
        os.umask(old)
    assert mode(tmp_path / "var" / "db.sqlite3") == 0o600
    assert mode(tmp_path / "other.sqlite3") == 0o600


def test_a_database_of_before_is_closed_to_others(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "var").mkdir()
    files = [tmp_path / "var" / f"db.sqlite3{suffix}" for suffix in ("", "-wal", "-shm")]
    # Somebody else's file keeps the mode that somebody chose.
    files.append(tmp_path / "chosen.sqlite3")
    for file in files:
        file.write_bytes(b"")
        file.chmod(0o644)
    read(monkeypatch, tmp_path, SECRET_KEY=A_KEY)
    read(monkeypatch, tmp_path, DATABASE_URL=f"sqlite:///{files[-1]}")
    assert [mode(file) for file in files] == [0o600, 0o600, 0o600, 0o644]


EXAMPLE = Path(__file__).parents[2] / ".env.example"
VARIABLES = [line.partition("=")[0] for line in EXAMPLE.read_text().splitlines() if line[:1] not in {"", "#"}]


@pytest.mark.parametrize(("query", "seconds"), [("", "5"), ("?connect_timeout=2", "2")])
def test_a_connection_to_a_database_that_says_nothing_is_given_up(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, query: str, seconds: str
) -> None:
    url = f"postgresql://u:p@db.example/name{query}"
    found = read(monkeypatch, tmp_path, SECRET_KEY=A_KEY, DATABASE_URL=url)
    assert str(found.database["OPTIONS"]["connect_timeout"]) == seconds


@pytest.mark.parametrize("url", ["postgresql://u@h:5432/", "postgresql://u:hunter#2@h:5432/name"])
def test_a_database_without_a_name_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, url: str
) -> None:
    with pytest.raises(ImproperlyConfigured, match=r"DATABASE_URL: .*%23") as refused:
        read(monkeypatch, tmp_path, SECRET_KEY=A_KEY, DATABASE_URL=url)
    assert "hunter" not in str(refused.value)


def test_a_file_that_cannot_be_read_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_bytes(b"DEBUG=1\n\xff\xfe\n")
    with pytest.raises(ImproperlyConfigured, match=r"\.env cannot be read: 'utf-8'"):
        read(monkeypatch, tmp_path)

    def refuse(*_arguments: object, **_options: object) -> None:
        raise PermissionError(13, "Permission denied", str(file))

    # Not by file permissions: root ignores them, and the tests may run as root.
    monkeypatch.setattr("environs.Env.read_env", refuse)
    with pytest.raises(ImproperlyConfigured, match=r"\.env cannot be read by this user: .*sudo -u"):
        read(monkeypatch, tmp_path)


@pytest.mark.parametrize("empty", ["", " "])
def test_an_empty_variable_means_the_default(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, empty: str
) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    expected = read(monkeypatch, tmp_path, SECRET_KEY=A_KEY)
    assert read(monkeypatch, tmp_path, **{**dict.fromkeys(VARIABLES, empty), "SECRET_KEY": A_KEY}) == expected


@pytest.mark.parametrize(
    ("command", "asked", "form"),
    [
        ("manage.py serve", "", "json"),
        ("manage.py serve", "console", "console"),
        ("manage.py runserver", "", "console"),
        ("manage.py runserver", "json", "json"),
        ("/srv/manage.py run_demo", "", "console"),
        ("manage.py migrate", "json", "console"),
        ("manage.py rt nodes", "json", "console"),
        ("manage.py", "json", "console"),
        ("uvicorn rockstar_site.asgi:application", "", "json"),
        ("", "", "json"),
    ],
)
def test_commands_write_for_people_and_servers_for_machines(command: str, asked: Any, form: str) -> None:
    assert log_format_of(command.split(), asked) == form


@pytest.mark.parametrize(
    ("command", "serves"),
    [("manage.py serve", True), ("manage.py migrate", False), ("uvicorn a:b", True), ("manage.py", False)],
)
def test_a_command_that_does_not_serve_has_no_pool_of_connections(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, command: str, serves: bool
) -> None:
    monkeypatch.setattr("sys.argv", command.split())
    found = read(monkeypatch, tmp_path, SECRET_KEY=A_KEY, DATABASE_URL="postgresql://u:p@db.example/name")
    assert is_server(command.split()) is serves
    assert ("pool" in found.database["OPTIONS"]) is serves


def test_a_pool_looks_for_a_database_that_is_back_at_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("sys.argv", ["manage.py", "serve"])
    found = read(monkeypatch, tmp_path, SECRET_KEY=A_KEY, DATABASE_URL="postgresql://u:p@db.example/name")
    # By itself it waits 1 s, 2 s, 4 s and so on up to this time, and begins anew at the next use.
    assert found.database["OPTIONS"]["pool"]["reconnect_timeout"] <= 5
