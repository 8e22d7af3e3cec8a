"""Secrets in log lines."""

import json

import pytest

from realtime.logs import redact
from realtime.observer import Value, encode_line

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


@pytest.mark.parametrize("value", ["plain", 'quo"ted \\ and\n new', "snow ☃ 𝄞", "", 7, -1, 0.125, 1e22, None])
def test_a_line_of_the_access_log_is_what_json_dumps_makes(value: Value) -> None:
    line = {"event": "open", "value": value}
    assert encode_line(line) == json.dumps(line)
