"""Every setting of realtime comes from the environment, with its type; read here without starting anything."""

from dataclasses import fields
from pathlib import Path
from typing import Any, get_type_hints

import pytest
from django.core.exceptions import ImproperlyConfigured

from realtime import RealtimeSettings
from rockstar_site.env import read_environment
from rockstar_site.realtime_env import NOT_READ_HERE

WRITTEN: dict[Any, tuple[str, Any]] = {
    int: ("7", 7),
    float: ("7.5", 7.5),
    bool: ("1", True),
    # All texts are dotted paths.
    str: ("tests.fixtures.anything", "tests.fixtures.anything"),
}
OTHERS: dict[str, tuple[str, Any]] = {
    "TRUSTED_PROXIES": ("::ffff:10.0.0.1, 10.1.0.0/16", ("::ffff:10.0.0.1", "10.1.0.0/16")),
    "ALLOWED_ORIGINS": ("https://a.example, http://[::1]:81", ("https://a.example", "http://[::1]:81")),
    "PUBLISH_ERRORS": ("tests.fixtures.lost", "tests.fixtures.lost"),
    "DEVELOPMENT_HOSTS": ("[::1],dev.localhost", ("[::1]", "dev.localhost")),
}
NAMES = sorted({each.name for each in fields(RealtimeSettings)} - NOT_READ_HERE)


@pytest.fixture(autouse=True)
def _development(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEBUG", "1")


@pytest.mark.parametrize("name", NAMES)
def test_a_setting_has_the_value_of_its_variable(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text, value = OTHERS.get(name) or WRITTEN[get_type_hints(RealtimeSettings)[name]]
    monkeypatch.setenv(f"REALTIME_{name}", text)
    read = read_environment(tmp_path).realtime[name]
    assert (read, type(read)) == (value, type(value))


@pytest.mark.parametrize("name", NAMES)
def test_a_wrong_value_is_refused_with_a_line(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"REALTIME_{name}", "not this!")
    with pytest.raises(ImproperlyConfigured) as refused:
        read_environment(tmp_path)
    assert str(refused.value).splitlines()[1:] == [
        line for line in str(refused.value).splitlines() if line.startswith(f"  REALTIME_{name}: ")
    ]


def test_without_variables_everything_has_its_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in NAMES:
        monkeypatch.delenv(f"REALTIME_{name}", raising=False)
    read = read_environment(tmp_path).realtime
    assert read["DEVELOPMENT_HOSTS"] == ("localhost", "127.0.0.1", "[::1]")
    assert RealtimeSettings(**read) == RealtimeSettings(
        **{name: read[name] for name in ("TENANTS", "IDENTITY", "ROUTES", "DEVELOPMENT_HOSTS")}
    )
    monkeypatch.setenv("DEBUG", "0")
    monkeypatch.setenv("SECRET_KEY", "a-key-for-tests-only-0123456789-abcdefghijklmnop")
    assert read_environment(tmp_path).realtime["DEVELOPMENT_HOSTS"] == ()
