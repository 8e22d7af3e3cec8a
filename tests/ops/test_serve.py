"""`manage.py serve` before it serves: one line says what is missing."""

import io
from pathlib import Path
from typing import Any

import pytest
from django.core.management.base import CommandError

from realtime.management.commands.serve import Command


def collected(settings: Any, **values: Any) -> str:
    """Return the output of the command while it collects with these settings."""
    settings.DEBUG = False
    for name, value in values.items():
        setattr(settings, name, value)
    command = Command(stderr=io.StringIO())
    command._collect_static()
    said: str = command.stderr.getvalue()
    return said


@pytest.mark.parametrize("root", [None, ""])
def test_without_a_static_root_it_says_so_and_goes_on(settings: Any, root: str | None) -> None:
    said = collected(settings, STATIC_ROOT=root)
    assert said.startswith("STATIC_ROOT is not set")
    assert said.count("\n") == 1


def test_without_static_files_there_is_nothing_to_collect(settings: Any) -> None:
    apps = [name for name in settings.INSTALLED_APPS if "static" not in name]
    assert collected(settings, STATIC_ROOT=None, INSTALLED_APPS=apps) == ""


def test_a_static_root_that_cannot_be_written_is_named(settings: Any, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(CommandError, match="cannot be collected into"):
        collected(settings, STATIC_ROOT=file / "static")
