"""The description of a process names no password."""

import pytest

from realtime.node.description import without_password


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://h:1/2", "redis://h:1/2"),
        ("redis://u:hidden@h/2?client_name=web", "redis://***@h/2"),
        (
            "redis+sentinel://:hidden@a:1,[::1]:2,c/m?sentinel_password=hidden",
            "redis+sentinel://***@a:1,[::1]:2,c/m",
        ),
        ("unix://:hidden@/run/redis.sock", "unix://***@/run/redis.sock"),
        ("redis://:hid/den@h", "redis://***@h"),
        ("redis://:hid?den@h", "redis://***@h"),
        ("redis://:hid@den@h", "redis://***@h"),
        ("redis://[", "redis://["),
        ("", ""),
    ],
)
def test_a_url_without_its_password(url: str, shown: str) -> None:
    assert without_password(url) == shown
