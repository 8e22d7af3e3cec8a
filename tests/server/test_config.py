"""What the settings decide about the server is read by the process that serves."""

import pickle

import pytest
from pytest_django import Settings

from realtime.server.server import COMPRESSING_PROTOCOL, ServerConfig
from realtime.sockets.types import Receive, Scope, Send


def loaded(proxies: list[str] | None, settings: Settings) -> ServerConfig:
    """A configuration that was made, and sent to a new process, before the settings changed."""
    sent = pickle.dumps(ServerConfig("tests.server.test_config:application", 2, proxies))
    settings.REALTIME = settings.REALTIME | {
        "PING_INTERVAL_S": 7.0,
        "PING_TIMEOUT_S": 0.0,
        "COMPRESSION": True,
        "TRUSTED_PROXIES": ["10.0.0.9"],
    }
    config: ServerConfig = pickle.loads(sent)
    config.load()
    return config


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """An ASGI application."""


def test_a_new_process_takes_the_settings_of_now(settings: Settings) -> None:
    config = loaded(None, settings)
    assert (config.ws, config.ws_ping_interval, config.ws_ping_timeout) == (COMPRESSING_PROTOCOL, 7.0, None)
    assert config.proxy_headers
    assert "10.0.0.9/32" in config.forwarded_allow_ips


@pytest.mark.parametrize(("given", "is_any"), [([], False), (["192.0.2.1/32"], True)])
def test_the_option_is_kept(settings: Settings, given: list[str], is_any: bool) -> None:
    config = loaded(given, settings)
    assert (config.proxy_headers, config.forwarded_allow_ips) == (is_any, ",".join(given))
