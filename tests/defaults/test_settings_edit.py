"""The lines that `realtime_init` writes: in any shape of settings, once, and the file stays Python."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from realtime.management.settings_edit import add_lines
from tests.servers.databases import REPOSITORY, base_environment

STARTED = 'INSTALLED_APPS = [\n    "a",\n    "b",\n]\n'
SHAPES = {
    "as startproject makes it": STARTED,
    "one line": 'INSTALLED_APPS = ["a", "b"]\n',
    "no line end at the end": 'INSTALLED_APPS = ["a", "b"]',
    "a tuple": 'INSTALLED_APPS = ("a", "b")\n',
    "a sum": 'X = ["a"]\nINSTALLED_APPS = X + ["b"]\n',
    "added to": 'INSTALLED_APPS = ["a"]\nINSTALLED_APPS += ["b"]\n',
    "last": 'INSTALLED_APPS = ["a", "b", "realtime"]\n',
    "first": 'INSTALLED_APPS = ["realtime", "a", "b"]\n',
    "annotated": 'INSTALLED_APPS: list[str] = ["a", "b"]\n',
    "with comments": 'INSTALLED_APPS = [  # ours\n    # é\n    "a",  # first\n    "b",\n]\n# the end',
    "text before it in the line": 'é = "é"; INSTALLED_APPS = ["a", "b"]\n',
    "windows": STARTED.replace("\n", "\r\n"),
    "another application": STARTED + 'ASGI_APPLICATION = "mysite.asgi.application"  # ours\n',
    "rules": STARTED + 'REALTIME = {"TOPIC_RULES": {}}\n',
}


def values(text: str) -> dict[str, Any]:
    names: dict[str, Any] = {}
    exec(compile(text, "settings.py", "exec"), names)
    return names


@pytest.mark.parametrize("shape", SHAPES)
def test_the_lines_are_there_once(shape: str) -> None:
    edited = add_lines(SHAPES[shape], replaces_application=True)
    found = values(edited.text)
    assert list(found["INSTALLED_APPS"]) == ["realtime", "a", "b"]
    assert found["ASGI_APPLICATION"] == "realtime.asgi.application"
    assert found["REALTIME"] == {"TOPIC_RULES": {}}
    assert add_lines(edited.text, replaces_application=True).text == edited.text
    assert edited.notes == []
    kept = [line for line in SHAPES[shape].splitlines() if "#" in line]
    assert all(line.partition("#")[2] in edited.text for line in kept)


def test_an_application_with_sockets_stays_and_is_noted() -> None:
    edited = add_lines(STARTED + 'ASGI_APPLICATION = "mine.asgi.application"\n', replaces_application=False)
    assert values(edited.text)["ASGI_APPLICATION"] == "mine.asgi.application"
    [note] = edited.notes
    assert "stays as it is" in note


def init(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "realtime", "--settings", "mysite.settings", *arguments]
    env = {"PYTHONPATH": str(REPOSITORY)}
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)


def test_the_command_shows_what_it_writes_and_takes_back_what_python_refuses(tmp_path: Path) -> None:
    (tmp_path / "mysite").mkdir()
    settings = tmp_path / "mysite" / "settings.py"
    settings.write_text(
        'SECRET_KEY = "x"\nINSTALLED_APPS = ["django.contrib.contenttypes", "django.contrib.auth"]\n'
    )
    shown = init(tmp_path, "--dry-run")
    assert '+ASGI_APPLICATION = "realtime.asgi.application"' in shown.stdout, shown.stderr
    assert "ASGI" not in settings.read_text()
    assert "Written" in init(tmp_path).stdout
    written = settings.read_text()
    assert values(written)["INSTALLED_APPS"][0] == "realtime"
    assert "has all that is needed" in init(tmp_path).stdout
    assert settings.read_text() == written
    broken = 'SECRET_KEY = "x"\nfrom django.conf import global_settings\nAPPS = ["nowhere"]\n'
    settings.write_text(broken)
    refused = init(tmp_path)
    assert refused.returncode == 1
    assert "is as before" in refused.stderr
    assert settings.read_text() == broken


@pytest.mark.parametrize(
    ("module", "sentence"),
    [
        (None, "Name the settings: python -m realtime --settings mysite.settings."),
        ("mysite.settings", "There is no module 'mysite' here."),
        ("other.setting", "There is no module 'other.setting' here."),
        ("broken", "broken cannot be imported: ZeroDivisionError: division by zero."),
    ],
)
def test_settings_that_are_not_there_are_named_in_a_sentence(
    tmp_path: Path, module: str | None, sentence: str
) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "__init__.py").touch()
    (tmp_path / "broken.py").write_text("1 / 0")
    command = [sys.executable, "-m", "realtime", *(("--settings", module) if module else ())]
    env = base_environment() | {"PYTHONPATH": str(REPOSITORY)}
    env.pop("DJANGO_SETTINGS_MODULE", None)
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith(f"CommandError: {sentence}")
    assert done.stderr.count("\n") == 1
