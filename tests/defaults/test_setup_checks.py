"""Each mistake of set-up is one sentence of `manage.py check`."""

import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from channels.generic.websocket import AsyncWebsocketConsumer
from django.apps import apps
from django.core.checks import run_checks
from django.core.exceptions import ImproperlyConfigured
from pytest_django import Settings

from realtime import EchoConsumer, TopicRule, anyone, host, websocket


def ids(text: str = "") -> list[str]:
    """Return the ids of the messages of `manage.py check` about this package that contain the text."""
    found = [each for each in run_checks() if str(each.id).startswith("realtime.")]
    return [str(each.id) for each in found if text in f"{each.msg} {each.hint}"]


@pytest.fixture(autouse=True)
def _somebodys(settings: Settings) -> None:
    settings.REALTIME = {}
    settings.ASGI_APPLICATION = "realtime.asgi.application"
    settings.CHANNEL_LAYERS = {}


def test_a_right_project_hears_nothing(settings: Settings) -> None:
    assert ids() == []
    del settings.REALTIME
    assert ids() == []


@pytest.mark.parametrize(
    ("given", "code", "text"),
    [
        ([], "E006", "REALTIME must be a dict"),
        ({"TOPIC_RULE": {}}, "E006", "Did you mean TOPIC_RULES?"),
        ({"topic_rules": {}}, "E006", "Did you mean TOPIC_RULES?"),
        ({"IDENTIY": "a.B"}, "E006", "Did you mean IDENTITY?"),
        ({"NONSENSE": 1}, "E006", "unknown setting: 'NONSENSE'"),
        ({7: 1}, "E006", "unknown setting: 7"),
        ({"MAX_CALLS": "8"}, "E006", "MAX_CALLS must be a whole number"),
        ({"PING_INTERVAL_S": -1}, "E006", "PING_INTERVAL_S must be 0 or more"),
        ({"HTTPS": "yes"}, "E006", "HTTPS must be True or False"),
        ({"ALLOWED_ORIGINS": "https://a.example"}, "E006", "ALLOWED_ORIGINS must be a list of texts"),
        ({"IDENTITY": None}, "E006", "IDENTITY must be a text"),
        ({"TOPIC_RULES": [TopicRule()]}, "E006", "TOPIC_RULES must be a dict"),
        ({"TOPIC_RULES": {"a": "anyone"}}, "E003", "must be a TopicRule"),
        ({"TOPIC_RULES": {"a": TopicRule}}, "E003", "must be a TopicRule"),
        ({"TOPIC_RULES": {"a:": TopicRule()}}, "E003", "before its first `:`. Write 'a'."),
        ({"TOPIC_RULES": {"a:b": TopicRule()}}, "E003", "Write 'a'."),
        ({"TOPIC_RULES": {"a\n": TopicRule()}}, "E003", "never matches"),
        ({"TOPIC_RULES": {"a" * 256: TopicRule()}}, "E003", "never matches"),
        ({"TOPIC_RULES": {None: TopicRule()}}, "E003", "never matches"),
        ({"TOPIC_RULES": {"a*": TopicRule()}}, "W008", "no pattern"),
        ({"TOPIC_RULES": {"a": TopicRule(subscribe=True)}}, "E003", "received True; give"),  # type: ignore[arg-type]
        ({"TOPIC_RULES": {"a": TopicRule(publish=lambda: True)}}, "E003", "gate(identity, topic)"),  # type: ignore[misc, arg-type]
        ({"TOPIC_RULES": {"a": TopicRule(history_size=10_000)}}, "W013", "at most 6543"),
        (
            {"TOPIC_RULES": {"a": TopicRule(history_size=2)}, "HISTORY_BYTES_PER_TOPIC": 1000},
            "W013",
            "at most 1:",
        ),
        ({"TENANTS": "nowhere.Directory"}, "E007", "'nowhere.Directory'"),
        ({"TENANTS": "realtime.OneTenent"}, "E007", "'realtime.OneTenent'"),
        ({"IDENTITY": "shop"}, "E007", "'shop'"),
        ({"IDENTITY": "realtime.OneTenant"}, "E007", "lacks verify_token"),
        ({"IDENTITY": "realtime.publish"}, "E007", "no class"),
        ({"ROUTES": "nowhere.routing"}, "E005", "'nowhere.routing'"),
        ({"ROUTES": "realtime.conf"}, "E005", "no list `routes`"),
        ({"REDIS_URL": "http://x"}, "E011", "REDIS_URL: Expected"),
        ({"REDIS_URL": "localhost:6379"}, "E011", "REDIS_URL: Expected"),
        ({"ALLOWED_ORIGINS": ["shop.example"]}, "E011", "'shop.example', which is no origin"),
        ({"ALLOWED_ORIGINS": ("https://shop.example/path",)}, "E011", "which is no origin"),
        ({"TRUSTED_PROXIES": ["nonsense"]}, "E011", "TRUSTED_PROXIES"),
        ({"HTTP_BODY_BYTES_AT": {"/upload/": "1 MB"}}, "E011", "HTTP_BODY_BYTES_AT has '/upload/'"),
        ({"HTTP_BODY_BYTES_AT": {"upload/": 7}}, "E011", "HTTP_BODY_BYTES_AT has 'upload/'"),
        ({"REDIS_URL": "redis://x", "PUBLISH_ERRORS": "nowhere.report"}, "E004", "cannot be imported"),
    ],
)
def test_a_mistake_is_named(settings: Settings, given: Any, code: str, text: str) -> None:
    settings.REALTIME = given
    assert f"realtime.{code}" in ids(text)
    assert len(ids()) == 1


@pytest.mark.parametrize(
    ("routes", "text"),
    [
        ([host("a.example", websocket("ws/a/", EchoConsumer))], "write `*host(…)`"),
        ([EchoConsumer], "no route"),
        ([websocket("ws/a/", EchoConsumer), websocket("/ws/a", EchoConsumer)], "Two WebSocket routes"),
        ({}, "no list `routes`"),
    ],
)
def test_routes_that_are_no_routes_are_named(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, routes: Any, text: str
) -> None:
    module = ModuleType("somebodys_routes")
    module.routes = routes  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    settings.REALTIME = {"ROUTES": module.__name__}
    assert ids(text) == ["realtime.E005"]


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("import nowhere", "No module named 'nowhere'"),
        ("x = (", "SyntaxError"),
        ("1 / 0", "ZeroDivisionError"),
    ],
)
def test_a_broken_module_of_an_app_is_named(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, code: str, text: str
) -> None:
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "__init__.py").touch()
    (tmp_path / "broken" / "realtime.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    settings.INSTALLED_APPS = [*settings.INSTALLED_APPS, "broken"]
    assert ids(text) == ["realtime.E005"]
    assert ids(f"broken{'/'}realtime.py") == ["realtime.E005"]
    for name in ("broken", "broken.realtime"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize(
    "path",
    [
        None,
        "",
        "nowhere.application",
        "application",
        "tests.defaults.plain.application",
        "realtime.asgi:application",
        "tests.defaults.plain.aplication",
        "tests.defaults.of_channels.application.application",
    ],
)
def test_an_application_without_sockets_is_named(settings: Settings, path: str | None) -> None:
    settings.ASGI_APPLICATION = path
    assert ids() == ["realtime.E008"]


@pytest.mark.parametrize("path", ["broken.aplication", "broken.application.application", "broken.a.b.c"])
def test_a_wrong_name_in_an_application_is_named_without_importing_it(
    settings: Settings, path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken.py").write_text("import realtime\nraise KeyError(realtime)\n")
    monkeypatch.syspath_prepend(tmp_path)
    settings.ASGI_APPLICATION = path
    assert ids() == ["realtime.E008"]
    assert "broken" not in sys.modules


@pytest.mark.parametrize(
    "realtime",
    [
        {"TOPIC_RULES": {"a": TopicRule(history_size=6543)}},
        {"TOPIC_RULES": {"a": TopicRule(history_size=10**6)}, "HISTORY_BYTES_PER_TOPIC": 0},
        {"TOPIC_RULES": {"a": TopicRule(history_size=0)}, "HISTORY_BYTES_PER_TOPIC": 1},
    ],
)
def test_a_history_that_the_bytes_can_hold_hears_nothing(settings: Settings, realtime: Any) -> None:
    settings.REALTIME = realtime
    assert ids() == []


def test_a_rule_with_a_wrong_history_hears_nothing_of_gates(settings: Settings) -> None:
    settings.REALTIME = {"TOPIC_RULES": {"a": TopicRule(history_size=-1)}}
    assert ids("history_size") == ["realtime.E003"]
    assert ids("gate") == []


@pytest.mark.parametrize("layers", [{}, {"other": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}])
def test_a_consumer_of_channels_without_a_layer_is_named(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, layers: Any
) -> None:
    module = ModuleType("somebodys_routes")
    module.routes = [websocket("ws/room/", AsyncWebsocketConsumer)]  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    settings.REALTIME = {"ROUTES": module.__name__}
    settings.CHANNEL_LAYERS = layers
    assert ids("/ws/room/") == ids() == ["realtime.W011"]
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
    assert ids() == []


def test_a_broken_layer_is_no_traceback(settings: Settings) -> None:
    settings.CHANNEL_LAYERS = {"default": {}}
    assert ids() == []


@pytest.mark.parametrize("app", ["django.contrib.sessions", "django.contrib.auth"])
def test_an_app_that_sign_in_needs_is_named(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, app: str
) -> None:
    is_installed = apps.is_installed
    monkeypatch.setattr(apps, "is_installed", lambda name: name != app and is_installed(name))
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.db"
    assert ids(f'"{app}" is not in INSTALLED_APPS') == ["realtime.E007"]
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.cache"
    assert ids() == ([] if app == "django.contrib.sessions" else ["realtime.E007"])


def test_an_application_without_the_app_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apps, "is_installed", lambda name: name != "realtime")
    with pytest.raises(ImproperlyConfigured, match='Put "realtime" first in INSTALLED_APPS'):
        import_module("realtime.asgi").__getattr__("application")


def test_an_application_of_channels_alone_is_named(settings: Settings) -> None:
    settings.ASGI_APPLICATION = "tests.defaults.of_channels.application"
    assert ids("those of Channels alone") == ids() == ["realtime.W012"]


def test_an_application_of_ones_own_is_fine(settings: Settings) -> None:
    settings.ASGI_APPLICATION = "rockstar_site.asgi.application"
    assert ids() == []


@pytest.mark.parametrize("first", ["daphne", "django.contrib.staticfiles"])
def test_an_app_whose_runserver_comes_first_is_named(settings: Settings, first: str) -> None:
    settings.INSTALLED_APPS = [first, *(app for app in settings.INSTALLED_APPS if app != first)]
    assert ids(f'after "{first}"') == ["realtime.E009"]


def test_settings_beside_the_dict_are_named(settings: Settings) -> None:
    settings.REALTIME_TOPIC_RULES = {"a": TopicRule(subscribe=anyone)}
    assert ids("REALTIME_TOPIC_RULES is not read") == ["realtime.W007"]


def test_a_site_that_no_host_opens_is_named(settings: Settings) -> None:
    settings.DEBUG, settings.ALLOWED_HOSTS = False, []
    assert ids() == ["realtime.W006"]


def test_a_broker_without_its_clients_is_named(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.REALTIME = {"REDIS_URL": "redis://localhost"}
    assert ids() == []
    monkeypatch.setattr("realtime.setup_checks.find_spec", lambda name: None)
    assert ids("rockstar-realtime[redis]") == ["realtime.E010"]
