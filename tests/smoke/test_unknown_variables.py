"""A variable with a mistake in its name is named in one warning, and nothing is refused for it."""

import pytest

from rockstar_site.unknown_variables import unknown_variables
from tests.servers.databases import base_environment, run_python
from tests.smoke.test_environment import VARIABLES


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("REALTIME_PING", ["REALTIME_PING_INTERVAL_S", "REALTIME_PING_TIMEOUT_S"]),
        ("REALTIME_PING_INTERVAL", ["REALTIME_PING_INTERVAL_S"]),
        ("REALTIME_PING_INTERVALL_S", ["REALTIME_PING_INTERVAL_S"]),
        ("REALTIME_MAX_CONNECTIONS_IP", ["REALTIME_MAX_CONNECTIONS_PER_IP"]),
        ("realtime_pool_size", ["REALTIME_POOL_SIZE"]),
        ("REALTIME_REDIS_URL", ["REDIS_URL"]),
        ("REALTIME_LOG_LEVEL", ["LOG_LEVEL"]),
        ("CHAT_POOL_SIZE", ["REALTIME_POOL_SIZE"]),
        ("CHAT_MAX_FILE_BYTES", ["CHAT_FILE_BYTES_MAX"]),
        ("CHAT_FILE_DIR", ["CHAT_FILES_DIR"]),
        ("REALTIME_XYZZY", []),
        ("DATABASE_URI", ["DATABASE_URL"]),
        ("METRIC_TOKEN", ["METRICS_TOKEN"]),
        ("ACCESS_TOKEN_LIFETIME", ["ACCESS_TOKEN_LIFETIME_S"]),
        # A port of ours that somebody invented, and no address of Kubernetes.
        ("REALTIME_PORT", []),
    ],
)
def test_the_nearest_known_name_is_suggested(name: str, nearest: list[str]) -> None:
    assert unknown_variables({name: "5", "PATH": "/bin"}, VARIABLES) == {name: nearest}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("REALTIME_SERVICE_HOST", "10.0.0.1"),
        ("REALTIME_SERVICE_PORT", "80"),
        ("REALTIME_SERVICE_PORT_HTTP", "80"),
        ("REALTIME_PORT", "tcp://10.0.0.1:80"),
        ("REALTIME_PORT_80_TCP", "tcp://10.0.0.1:80"),
        ("REALTIME_PORT_80_TCP_PROTO", "tcp"),
        ("REALTIME_PORT_80_TCP_PORT", "80"),
        ("REALTIME_PORT_80_TCP_ADDR", "10.0.0.1"),
        ("CHAT_WEB_PORT_443_UDP", "udp://10.0.0.1:443"),
        ("CHAT_WEB_SERVICE_HOST", "10.0.0.1"),
        ("DATABASE_URL_REPLICA", "postgresql://other/name"),
        ("DATABASE_HOST", "db"),
        ("SECRET_KEY_FILE", "/run/secrets/key"),
        ("LOG_DIR", "/var/log"),
        ("PASSWORD_STORE_DIR", "/home/somebody"),
        ("HTTPS_PROXY", "http://proxy"),
        ("API_KEY", "x"),
    ],
)
def test_what_others_set_is_theirs(name: str, value: str) -> None:
    assert unknown_variables({name: value}, VARIABLES) == {}


def test_no_variable_of_the_example_is_unknown() -> None:
    assert unknown_variables(dict.fromkeys(VARIABLES, "1"), VARIABLES) == {}


def test_a_command_says_it_once_and_goes_on() -> None:
    wrong = {"REALTIME_PING": "5", "CHAT_FILES_BYTES_MAX": "5", "REALTIME_SERVICE_HOST": "10.0.0.1"}
    done = run_python("manage.py", "check", env=base_environment() | wrong)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("REALTIME_PING ") == done.stderr.count("REALTIME_PING_INTERVAL_S") == 1
    assert done.stderr.count("CHAT_FILES_BYTES_MAX") == done.stderr.count("CHAT_FILE_BYTES_MAX") == 1
    assert "REALTIME_SERVICE_HOST" not in done.stderr
