"""What `manage.py check` says about the engine's settings."""

from typing import Any

import pytest
from django.core.checks import run_checks
from pytest_django.fixtures import Settings

PUBSUB = "channels_redis.pubsub.RedisPubSubChannelLayer"
URL = "redis://127.0.0.1:6379/0"


def found(*, deploy: bool = False) -> list[str]:
    """The ids of this package's messages."""
    messages = run_checks(include_deployment_checks=deploy)
    return [each.id for each in messages if each.id and each.id.startswith("realtime.")]


def layers(*hosts: Any, backend: str = PUBSUB) -> dict[str, Any]:
    return {"default": {"BACKEND": backend, "CONFIG": {"hosts": list(hosts)} if hosts else {}}}


def test_the_settings_as_they_are_pass() -> None:
    assert found() == []


@pytest.mark.parametrize(
    ("host", "is_fine"),
    [
        ({"address": URL, "socket_timeout": 30}, True),
        ({"address": URL, "socket_timeout": 20}, True),
        ({"address": URL, "socket_timeout": None}, True),
        ({"host": "h", "port": 6379, "socket_timeout": 60.5}, True),
        (URL + "?socket_timeout=30", True),
        ({"address": URL + "?socket_timeout=30"}, True),
        ({"address": URL, "socket_timeout": 19.9}, False),
        ({"address": URL}, False),
        ({"host": "h", "port": 6379}, False),
        (URL, False),
        (URL + "?socket_timeout=5", False),
        (("h", 6379), False),
    ],
)
def test_a_short_socket_timeout_is_an_error(settings: Settings, host: Any, *, is_fine: bool) -> None:
    settings.CHANNEL_LAYERS = layers(host)
    assert found() == ([] if is_fine else ["realtime.E001"])


def test_a_layer_without_hosts_has_the_default_timeout(settings: Settings) -> None:
    settings.CHANNEL_LAYERS = layers()
    assert found() == ["realtime.E001"]


def test_a_redis_url_beside_a_layer_in_memory_is_a_warning(settings: Settings) -> None:
    settings.CHANNEL_LAYERS = layers(backend="channels.layers.InMemoryChannelLayer")
    settings.REALTIME = {**settings.REALTIME, "REDIS_URL": URL}
    assert found() == ["realtime.W009"]


def test_a_cluster_without_a_layer_is_a_warning(settings: Settings) -> None:
    settings.CHANNEL_LAYERS = {}
    settings.REALTIME = {**settings.REALTIME, "REDIS_URL": "redis+cluster://a,b"}
    assert found() == ["realtime.W010"]
    settings.CHANNEL_LAYERS = layers({"address": URL, "socket_timeout": 30})
    assert found() == []


def test_a_deployment_is_warned_of_all_that_would_hurt(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SECRET_KEY", raising=False)
    settings.DEBUG = True
    settings.CHANNEL_LAYERS = layers(backend="channels.layers.InMemoryChannelLayer")
    settings.REALTIME = {**settings.REALTIME, "REDIS_URL": "", "HTTPS": False}
    assert found(deploy=True) == ["realtime.W001", "realtime.W002", "realtime.W003", "realtime.W004"]
    assert found() == []


def test_a_careful_deployment_is_not_warned(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    # As with a key in `.env`.
    monkeypatch.delenv("SECRET_KEY", raising=False)
    settings.DEBUG = False
    settings.CHANNEL_LAYERS = layers({"address": URL, "socket_timeout": 30})
    settings.REALTIME = {**settings.REALTIME, "REDIS_URL": URL, "HTTPS": True, "TRUSTED_PROXIES": ("::1",)}
    assert found(deploy=True) == []
    settings.REALTIME = {**settings.REALTIME, "TRUSTED_PROXIES": ()}
    assert found(deploy=True) == ["realtime.W005"]


@pytest.mark.parametrize(("token", "is_weak"), [("", False), ("x" * 31, True), ("x" * 32, False)])
def test_a_short_metrics_token_is_warned_of(settings: Settings, token: str, is_weak: bool) -> None:
    """Whoever guesses it sees the metrics of all tenants."""
    settings.REALTIME = settings.REALTIME | {"METRICS_TOKEN": token}
    assert ("realtime.W014" in found(deploy=True)) == is_weak
