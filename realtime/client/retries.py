"""When to come back after a connection has ended. Values in, values out."""

from enum import StrEnum

from realtime.protocol.close_codes import CloseCode

BACKOFF_MIN_S = 0.5
BACKOFF_MAX_S = 20.0
# The longest wait in the first minute of an outage: most are short.
BACKOFF_MAX_WHILE_YOUNG_S = 5.0
BACKOFF_YOUNG_S = 60.0
# The end of a connection without a close frame (RFC 6455 section 7.4.1).
ABNORMAL = 1006


class Action(StrEnum):
    """The action after a close."""

    RECONNECT = "reconnect"
    # All clients were disconnected at the same moment.
    SPREAD = "spread"
    # This client exceeded a limit.
    BACK_OFF = "back-off"
    # Only with another credential.
    SIGN_IN = "sign-in"
    STOP = "stop"


_ACTIONS = {
    CloseCode.NORMAL: Action.STOP,
    CloseCode.GOING_AWAY: Action.SPREAD,
    CloseCode.BAD_DATA: Action.STOP,
    CloseCode.TOO_LARGE: Action.STOP,
    CloseCode.RESTART: Action.SPREAD,
    CloseCode.BAD_MESSAGES: Action.STOP,
    CloseCode.UNAUTHENTICATED: Action.SIGN_IN,
    CloseCode.FORBIDDEN: Action.STOP,
    CloseCode.NOT_FOUND: Action.STOP,
    CloseCode.TIMEOUT: Action.RECONNECT,
    CloseCode.SLOW_CONSUMER: Action.RECONNECT,
    CloseCode.TOO_FAST: Action.BACK_OFF,
    CloseCode.UNAVAILABLE: Action.SPREAD,
}
# By the first word of the reason; the operator's words follow.
_OPERATOR_ACTIONS = {"reconnect": Action.SPREAD, "stop": Action.STOP}
# The lowest attempt number for the backoff, so that the first wait is long enough.
_ATTEMPTS_MIN = {Action.SPREAD: 2, Action.BACK_OFF: 5}
# The close codes that stand for the statuses of HTTP refusals. Others are of a proxy whose server is away.
_CODE_OF_STATUS = {
    400: CloseCode.FORBIDDEN,
    401: CloseCode.UNAUTHENTICATED,
    403: CloseCode.FORBIDDEN,
    404: CloseCode.NOT_FOUND,
    426: CloseCode.FORBIDDEN,
    429: CloseCode.TOO_FAST,
    503: CloseCode.UNAVAILABLE,
}


def close_action(code: int, reason: str) -> Action:
    """Return what to do after a close. A code that is not in the protocol reconnects."""
    if code == CloseCode.ENDED_BY_OPERATOR:
        return _OPERATOR_ACTIONS.get(reason.partition(":")[0], Action.BACK_OFF)
    return next((action for each, action in _ACTIONS.items() if each == code), Action.RECONNECT)


def code_of_status(status: int) -> int:
    """Return the close code that stands for the status of an HTTP refusal."""
    return int(_CODE_OF_STATUS.get(status, ABNORMAL))


def attempt_after(action: Action, failures: int) -> int:
    """Return the attempt number for the backoff after `failures` failed attempts in a row."""
    return max(failures, _ATTEMPTS_MIN.get(action, 0))


def backoff_s(attempt: int, random: float, outage_s: float = float("inf")) -> float:
    """Return how long to wait before the next attempt, with full jitter.

    `random` is in [0, 1); `outage_s` is how long the connection has been lost. The wait lies between the minimum and
    a bound that doubles with each attempt, up to the maximum.
    """
    longest_s = BACKOFF_MAX_WHILE_YOUNG_S if outage_s < BACKOFF_YOUNG_S else BACKOFF_MAX_S
    ceiling_s = min(longest_s, BACKOFF_MIN_S * 2.0 ** (min(max(0, attempt), 16) + 1))
    return BACKOFF_MIN_S + random * (ceiling_s - BACKOFF_MIN_S)
