"""Bodies that are no requests: JSON errors of 400 and 413, and nothing in the log that looks like a fault of ours."""

import logging
from typing import Any

import pytest
from django.test import Client

from accounts.models import Membership, Tenant, User
from realtime.rest.parsers import BODY_MAX_BYTES
from tests.accounts.conftest import ACME_HOST, PASSWORD, sign_in

PATHS = ["/api/token/", "/api/token/refresh/", "/api/token/verify/", "/api/token/revoke/"]
JSON = "application/json"
FORM = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data; boundary=x"
FIELDS = "&".join(f"f{number}=1" for number in range(1_001)).encode()
PARTS = b"".join(
    b'--x\r\nContent-Disposition: form-data; name="f%d"\r\n\r\n1\r\n' % number for number in range(1_001)
)
BAD: list[tuple[str, bytes, str, int]] = [
    ("deep list", b"[" * 100_000, JSON, 400),
    ("deep object", b'{"a":' * 40_000, JSON, 400),
    ("deep and closed", b"[" * 50_000 + b"]" * 50_000, JSON, 400),
    ("deep value", b'{"username":' + b"[" * 90_000, JSON, 400),
    ("not closed", b"{", JSON, 400),
    ("no UTF-8", b'{"username": "\xff"}', JSON, 400),
    ("UTF-16", '{"username": "a"}'.encode("utf-16"), JSON, 400),
    (
        "half a character",
        b'{"username": "\\ud800", "password": "x", "refresh": "\\ud800", "token": "\\ud800"}',
        JSON,
        400,
    ),
    (
        "zero",
        b'{"username": "\\u0000", "password": "x", "refresh": "\\u0000", "token": "\\u0000"}',
        JSON,
        400,
    ),
    ("long number", b'{"username": ' + b"9" * 10_000 + b"}", JSON, 400),
    ("no number", b'{"username": NaN}', JSON, 400),
    ("no double", b'{"username": 1e999}', JSON, 400),
    ("more than 64 bits", b'{"x": 18446744073709551616}', JSON, 400),
    ("a key twice", b'{"username": "a", "username": "b"}', JSON, 400),
    ("half a character elsewhere", b'{"username": "alice", "password": "x", "\\udc00": 1}', JSON, 400),
    ("a list", b"[1, 2]", JSON, 400),
    ("a text", b'"x"', JSON, 400),
    ("nothing", b"", JSON, 400),
    ("long JSON", b'{"username": "' + b"x" * BODY_MAX_BYTES + b'"}', JSON, 413),
    ("very long JSON", b" " * 3_000_000, JSON, 413),
    ("long form", b"username=" + b"x" * BODY_MAX_BYTES, FORM, 413),
    ("many fields", FIELDS, FORM, 400),
    ("odd encoding", b"username=a", FORM + "; charset=zip", 400),
    ("odder encoding", b"{}", JSON + "; charset=rot13", 400),
    ("many parts", PARTS + b"--x--\r\n", MULTIPART, 400),
    ("no boundary", b"x", "multipart/form-data", 400),
    ("bad boundary", b"x", "multipart/form-data; boundary=" + "é" * 3, 400),
    ("junk", b"\x00\xff--x\r\n\r\n--", MULTIPART, 400),
    (
        "odd multipart encoding",
        b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n--x--\r\n',
        MULTIPART + "; charset=zip",
        400,
    ),
    (
        "bad base64",
        b'--x\r\nContent-Disposition: form-data; name="a"\r\nContent-Transfer-Encoding: base64\r\n\r\n!\r\n--x--\r\n',
        MULTIPART,
        400,
    ),
]


def send(browser: Client, path: str, body: bytes, content_type: str, **headers: str) -> Any:
    return browser.generic(
        "POST", path, body, content_type=content_type, headers={"host": ACME_HOST} | headers
    )


@pytest.mark.parametrize(
    ("body", "kind", "status"), [each[1:] for each in BAD], ids=[each[0] for each in BAD]
)
def test_it_is_answered(
    acme: Tenant, browser: Client, body: bytes, kind: str, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    browser.raise_request_exception = False
    for path in PATHS:
        response = send(browser, path, body, kind)
        assert response.status_code == status, (path, response.content[:500])
        error = response.json()["error"]
        assert error["code"] == ("invalid_message" if status == 400 else "message_too_large")
        assert error["message"]
    assert not [record for record in caplog.records if record.exc_info or record.levelno >= logging.ERROR]


@pytest.mark.parametrize("number", [0, -9, -6])
def test_a_browser_gets_the_same_status(acme: Tenant, browser: Client, number: int) -> None:
    browser.raise_request_exception = False
    _, body, kind, status = BAD[number]
    assert send(browser, PATHS[0], body, kind, accept="text/html").status_code == status


@pytest.mark.parametrize(
    ("body", "kind"), [(FIELDS, FORM), (PARTS, MULTIPART), (b"a=1", FORM + "; charset=zip")]
)
def test_with_a_session_too(
    alice: User, browser: Client, body: bytes, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    strict = Client(headers={"host": ACME_HOST}, enforce_csrf_checks=True, raise_request_exception=False)
    sign_in(browser, "alice")
    strict.cookies = browser.cookies
    response = send(strict, "/api/ws-ticket/", body, kind)
    assert response.status_code in {400, 403}, response.content
    assert response.json()["error"]["code"] in {"invalid_message", "permission_denied"}
    assert not [record for record in caplog.records if record.exc_info or record.levelno >= logging.ERROR]


@pytest.mark.parametrize("charset", ["zip", "rot13", "utf-16", "idna", "undefined"])
def test_the_sign_in_page_takes_no_odd_encoding(alice: User, browser: Client, charset: str) -> None:
    browser.raise_request_exception = False
    response = send(
        browser, "/accounts/login/", b"username=alice&password=wrong", f"{FORM}; charset={charset}"
    )
    assert response.status_code == 200


@pytest.mark.parametrize("value", ['"\\ud800"', "1e999", "9" * 30])
@pytest.mark.parametrize(
    ("path", "field"),
    [("announce/", "level"), ("publish/", "data"), ("ban/", "until"), ("batch/", "commands")],
)
def test_operators_too(acme: Tenant, browser: Client, path: str, field: str, value: str) -> None:
    browser.raise_request_exception = False
    root = User.objects.create_superuser("root", password=PASSWORD)
    Membership.objects.create(tenant=acme, user=root)
    sign_in(browser, "root")
    response = send(browser, f"/api/realtime/{path}", f'{{"{field}":{value}}}'.encode(), JSON)
    assert (response.status_code, response.json()["error"]["code"]) == (400, "invalid_message")
    assert "JSON" in response.json()["error"]["message"]
