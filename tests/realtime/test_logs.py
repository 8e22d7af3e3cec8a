"""Secrets in log lines."""

import pytest

from realtime.logs import redact

TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJ1c2VyX2lkIjoxfQ.c2lnbmF0dXJl"


@pytest.mark.parametrize(
    ("line", "clean"),
    [
        (f"refused {TOKEN}", "refused ***"),
        ("GET /ws/?token=abc&x=1", "GET /ws/?token=***&x=1"),
        ("GET /ws/?ticket=abc", "GET /ws/?ticket=***"),
        ("cookie: sessionid=abc; a=b", "cookie: sessionid=***; a=b"),
        ("Authorization: Bearer abc", "Authorization: Bearer ***"),
        ("rockstar.v1, bearer.abc", "rockstar.v1, bearer.***"),
        ('{"event": "open", "user": 7}', '{"event": "open", "user": 7}'),
    ],
)
def test_credentials_are_replaced(line: str, clean: str) -> None:
    assert redact(line) == clean
