"""The two tables and the names, against the wire as it is written down."""

import pytest

from realtime.core.topics import check_topic_name, topic_prefix
from realtime.protocol.close_codes import CLOSE_RULES, CloseCode
from realtime.protocol.errors import (
    BAD_MESSAGE_CODES,
    RETRYABLE,
    ErrorCode,
    Refusal,
    RequestError,
    forbidden,
    unauthenticated,
    unavailable,
)

ERROR_CODES = [
    "invalid_json",
    "invalid_message",
    "unknown_type",
    "message_too_large",
    "unauthenticated",
    "permission_denied",
    "not_found",
    "conflict",
    "rate_limited",
    "limit_exceeded",
    "unrecoverable_position",
    "timeout",
    "cancelled",
    "internal",
]
CLOSE_CODES = [1000, 1001, 1007, 1009, 1012, 4400, 4401, 4403, 4404, 4408, 4409, 4410, 4429, 4503]


def test_the_error_codes_are_those_of_the_wire() -> None:
    assert sorted(code.value for code in ErrorCode) == sorted(ERROR_CODES)


def test_every_error_says_whether_to_try_again() -> None:
    assert set(RETRYABLE) == set(ErrorCode)
    assert not any(RETRYABLE[code] for code in BAD_MESSAGE_CODES)


def test_every_close_code_has_its_rule() -> None:
    assert sorted(CloseCode) == CLOSE_CODES
    assert set(CLOSE_RULES) == set(CloseCode)
    assert all(rule.meaning and rule.client_should for rule in CLOSE_RULES.values())


def test_close_codes_are_such_as_may_be_sent() -> None:
    assert all(code in {1000, 1001, 1007, 1009, 1012} or 4000 <= code <= 4999 for code in CloseCode)


@pytest.mark.parametrize(
    ("refusal", "status", "close_code"),
    [
        (Refusal(400, "bad_host", ""), 400, CloseCode.BAD_MESSAGES),
        (unauthenticated(), 401, CloseCode.UNAUTHENTICATED),
        (forbidden("origin_denied", ""), 403, CloseCode.FORBIDDEN),
        (Refusal(404, "not_found", ""), 404, CloseCode.NOT_FOUND),
        (Refusal(429, "too_many_connections", "", retry_after_s=1), 429, CloseCode.TOO_FAST),
        (unavailable("full", "", retry_after_s=3), 503, CloseCode.UNAVAILABLE),
    ],
)
def test_a_refusal_says_the_same_by_http_and_by_close_code(
    refusal: Refusal, status: int, close_code: CloseCode
) -> None:
    assert refusal.status == status
    assert refusal.close_code == close_code


@pytest.mark.parametrize(
    "name",
    ["a", "x" * 255, "👋" * 255, "room:1", "a b", " ", "ünï", ":", "a:b:c", "a\u2028b", "{}*?", "\u00a0"],
)
def test_topic_names(name: str) -> None:
    assert check_topic_name(name) == name


@pytest.mark.parametrize("name", ["", "x" * 256, "a\nb", "\0", "a\x7f", "a\x85", "\t", "\ud800", "a\x1b[0m"])
def test_what_is_no_topic_name(name: str) -> None:
    with pytest.raises(RequestError) as caught:
        check_topic_name(name)
    assert caught.value.code is ErrorCode.INVALID_MESSAGE
    assert caught.value.details == {"field": "payload.topic"}


@pytest.mark.parametrize(
    ("name", "prefix"), [("news", None), ("room:1", "room"), ("a:b:c", "a"), (":x", ""), ("x:", "x")]
)
def test_the_prefix_is_what_stands_before_the_first_colon(name: str, prefix: str | None) -> None:
    assert topic_prefix(name) == prefix
