"""`manage.py serve` before it serves: one line says what is missing."""

import errno
import logging
import os
import socket
from pathlib import Path
from typing import Any

import pytest
from django.core.checks import CheckMessage, Error, Warning  # noqa: A004 Django's name
from django.core.management.base import CommandError, SystemCheckError

from realtime.management.commands.serve import WORKERS_PER_CORE_MAX, Command, _listen
from realtime.server.static import collect_static


def collect(settings: Any, **values: Any) -> None:
    """Let the command collect with these settings."""
    settings.DEBUG = False
    for name, value in values.items():
        setattr(settings, name, value)
    Command()._collect_static()


@pytest.mark.parametrize("root", [None, ""])
def test_without_a_static_root_it_says_so_and_goes_on(
    settings: Any, root: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    collect(settings, STATIC_ROOT=root)
    [record] = caplog.records
    assert record.levelno == logging.WARNING
    assert record.message.startswith("STATIC_ROOT is not set")


def test_without_static_files_there_is_nothing_to_collect(
    settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    apps = [name for name in settings.INSTALLED_APPS if "static" not in name]
    collect(settings, STATIC_ROOT=None, INSTALLED_APPS=apps)
    assert not caplog.records


def test_a_static_root_that_cannot_be_written_is_named(settings: Any, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(CommandError, match="cannot be collected into"):
        collect(settings, STATIC_ROOT=file / "static")


def test_static_files_of_another_user_say_what_to_do(
    settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = tmp_path / ".collected.lock"

    def refuse() -> None:
        raise PermissionError(13, "Permission denied", str(lock))

    # Not by file permissions: root ignores them, and the tests may run as root.
    monkeypatch.setattr("realtime.management.commands.serve.collect_static", refuse)
    with pytest.raises(CommandError, match=rf"{lock}\. .*chown -R"):
        collect(settings, STATIC_ROOT=tmp_path)


STORAGE = """
from django.contrib.staticfiles.storage import StaticFilesStorage

class OwnStorage(StaticFilesStorage):
    pass
"""


def test_what_is_collected_is_made_anew_when_the_code_that_makes_it_has_changed(
    settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = tmp_path / "code" / "own_storage.py"
    code.parent.mkdir()
    code.write_text(STORAGE)
    monkeypatch.syspath_prepend(code.parent)
    settings.STATIC_ROOT = tmp_path / "static"
    settings.STORAGES = {**settings.STORAGES, "staticfiles": {"BACKEND": "own_storage.OwnStorage"}}
    collections: list[str] = []
    monkeypatch.setattr("realtime.server.static.call_command", lambda name, **_: collections.append(name))
    collect_static()
    collect_static()
    assert len(collections) == 1
    (code.parent / "its_part.py").write_text("")
    collect_static()
    assert len(collections) == 2


def test_a_warning_of_the_checks_is_one_line_of_the_log(
    settings: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    settings.SILENCED_SYSTEM_CHECKS = ["a.W002"]
    found: list[CheckMessage] = [
        Warning("A name is wrong.", hint="Write it so.", id="a.W001"),
        Warning("Known.", id="a.W002"),
    ]
    monkeypatch.setattr("django.core.checks.run_checks", lambda **_options: found)
    Command().check()
    assert [record.message for record in caplog.records] == ["A name is wrong. Write it so. (a.W001)"]
    found.append(Error("It cannot start.", id="a.E001"))
    with pytest.raises(SystemCheckError, match="It cannot start"):
        Command().check()


@pytest.mark.parametrize("number", [errno.EADDRINUSE, errno.EACCES, errno.EADDRNOTAVAIL])
def test_a_port_that_cannot_be_had_says_what_to_do(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def refuse(_host: str, _port: int) -> list[socket.socket]:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("realtime.management.commands.serve.open_sockets", refuse)
    with pytest.raises(CommandError, match=rf"--port 80: .*{os.strerror(number)}\. \w+ .*\.$"):
        _listen("127.0.0.1", 80)


@pytest.mark.parametrize("workers", [0, -1, 2 * WORKERS_PER_CORE_MAX + 1, 1000])
def test_a_number_of_workers_that_would_fill_the_memory_is_refused(
    monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    told = rf"--workers: expected 1 to 16 \(8 for each core\), received {workers}\."
    with pytest.raises(CommandError, match=told):
        Command().handle(host="127.0.0.1", port=8000, workers=workers, trusted_proxies=None)
