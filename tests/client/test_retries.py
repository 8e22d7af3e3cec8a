"""When the client comes back. The same as that of the JavaScript client."""

import re
from pathlib import Path

import pytest

from realtime.client.retries import Action, attempt_after, backoff_s, close_action, code_of_status
from realtime.protocol.close_codes import CloseCode

JAVASCRIPT = Path(__file__).resolve().parents[2] / "clients" / "js" / "src" / "close-codes.js"


def test_every_close_code_has_the_action_that_the_javascript_client_takes() -> None:
    source = JAVASCRIPT.read_text().replace("[UNAUTHENTICATED,", "[4401,")
    table = {
        int(code): action for code, action in re.findall(r'^  \[(\d+), "(.+)"\],$', source, re.MULTILINE)
    }
    assert table == {
        int(code): close_action(code, "").value for code in CloseCode if code != CloseCode.ENDED_BY_OPERATOR
    }


def test_an_operator_says_whether_to_come_back() -> None:
    assert close_action(4409, "reconnect: maintenance") is Action.SPREAD
    assert close_action(4409, "stop: enough") is Action.STOP
    assert close_action(4409, "") is Action.BACK_OFF


@pytest.mark.parametrize(
    ("status", "action"),
    [
        (401, Action.SIGN_IN),
        (403, Action.STOP),
        (404, Action.STOP),
        (426, Action.STOP),
        (429, Action.BACK_OFF),
        (502, Action.RECONNECT),
        (503, Action.SPREAD),
        (504, Action.RECONNECT),
    ],
)
def test_a_refusal_by_http_means_the_same_as_its_close_code(status: int, action: Action) -> None:
    assert close_action(code_of_status(status), "") is action


def test_the_wait_grows_to_a_bound_that_is_lower_in_the_first_minute() -> None:
    assert [backoff_s(attempt, 0.5) for attempt in range(7)] == [0.75, 1.25, 2.25, 4.25, 8.25, 10.25, 10.25]
    assert [backoff_s(attempt, 1.0, 1.0) for attempt in (2, 3, 90)] == [4.0, 5.0, 5.0]
    assert backoff_s(10**6, 0.0) == 0.5


def test_a_client_that_was_too_fast_begins_with_a_long_wait() -> None:
    assert [attempt_after(action, 0) for action in (Action.RECONNECT, Action.SPREAD, Action.BACK_OFF)] == [
        0,
        2,
        5,
    ]
    assert attempt_after(Action.SPREAD, 7) == 7
