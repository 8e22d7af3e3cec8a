"""The public face: what other apps import, before settings are there, and by the old paths for one release."""

import ast
import subprocess
import sys
import tomllib
import warnings
from importlib import import_module
from pathlib import Path

import pytest
from django.conf import settings

import realtime
from realtime import moved
from realtime.node.figures import VERSION

SOURCE = Path(realtime.__file__ or "").read_text()


def test_every_name_is_there_and_says_what_it_is() -> None:
    for name in realtime.__all__:
        value = getattr(realtime, name)
        assert value is not None
        if callable(value) and not name.isupper():
            assert value.__doc__ or name in {"Application", "Receive", "Send"}, name


def test_every_place_says_the_same_version() -> None:
    project = tomllib.loads(Path("pyproject.toml").read_text())["project"]
    assert VERSION == project["version"] == settings.SPECTACULAR_SETTINGS["VERSION"]


def test_what_types_see_is_what_python_finds() -> None:
    typed = {
        alias.name: node.module
        for node in ast.walk(ast.parse(SOURCE))
        if isinstance(node, ast.ImportFrom) and node.module not in {"realtime", "importlib"}
        for alias in node.names
        if alias.asname == alias.name
    }
    assert typed == realtime._HOME_OF


def test_it_is_imported_without_settings() -> None:
    code = "import realtime; print(len([getattr(realtime, name) for name in realtime.__all__]) > 50)"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True, env={}
    )
    assert done.stdout == "True\n"


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = realtime.nonsense


@pytest.mark.parametrize("old", sorted(moved.MOVED))
def test_old_paths_lead_to_the_same_module_with_a_warning(old: str) -> None:
    sys.modules.pop(old, None)
    new = import_module(moved.MOVED[old])
    spec = new.__spec__
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert import_module(old) is new
    assert [each.category for each in caught] == [DeprecationWarning]
    assert new.__spec__ is spec
    sys.modules.pop(old, None)


def test_old_paths_inside_a_package_lead_on() -> None:
    names = ("realtime.consumers", "realtime.consumers.json")
    for name in names:
        sys.modules.pop(name, None)
    with pytest.warns(DeprecationWarning, match="has moved"):
        old = import_module("realtime.consumers.json")
    assert old is import_module("realtime.endpoints.consumers.base")
    assert {"CORE_VERBS", "JsonConsumer"} <= vars(old).keys()
    for name in names:
        sys.modules.pop(name, None)
