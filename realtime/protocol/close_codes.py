"""Every close code that the server sends, in one table (docs/protocol.md prints it)."""

from dataclasses import dataclass
from enum import IntEnum


class CloseCode(IntEnum):
    """WebSocket close codes: RFC 6455 section 7.4.1 below 3000, ours from 4000."""

    NORMAL = 1000
    GOING_AWAY = 1001
    BAD_DATA = 1007
    TOO_LARGE = 1009
    RESTART = 1012
    BAD_MESSAGES = 4400
    UNAUTHENTICATED = 4401
    FORBIDDEN = 4403
    NOT_FOUND = 4404
    TIMEOUT = 4408
    ENDED_BY_OPERATOR = 4409
    SLOW_CONSUMER = 4410
    TOO_FAST = 4429
    UNAVAILABLE = 4503


# A control frame holds at most 125 bytes, and two of them are the code (RFC 6455 section 5.5).
REASON_MAX_BYTES = 123


def fitting_reason(reason: str) -> str:
    """Return `reason` as a close frame can hold it, cut between two characters."""
    return reason.encode(errors="replace")[:REASON_MAX_BYTES].decode(errors="ignore")


def operator_reason(words: str, *, reconnect: bool) -> str:
    """Return the reason of a 4409 close: whether the client should come back, then the operator's words; cut to fit."""
    return fitting_reason(f"{'reconnect' if reconnect else 'stop'}: {words or 'ended by an operator'}")


@dataclass(frozen=True, slots=True)
class CloseRule:
    """What a close code means and what a client should do."""

    meaning: str
    client_should: str


CLOSE_RULES: dict[CloseCode, CloseRule] = {
    CloseCode.NORMAL: CloseRule("done", "nothing"),
    CloseCode.GOING_AWAY: CloseRule("server going away", "reconnect, spread out"),
    CloseCode.BAD_DATA: CloseRule("not UTF-8", "stop"),
    CloseCode.TOO_LARGE: CloseRule("larger than the server takes", "stop"),
    CloseCode.RESTART: CloseRule("service restart", "reconnect, spread out"),
    CloseCode.BAD_MESSAGES: CloseRule("too many bad messages", "stop"),
    CloseCode.UNAUTHENTICATED: CloseRule(
        "credential missing, bad, expired or revoked", "get a new one, then reconnect"
    ),
    CloseCode.FORBIDDEN: CloseRule("origin, scope, tenant or membership", "stop"),
    CloseCode.NOT_FOUND: CloseRule("no such route here", "stop"),
    CloseCode.TIMEOUT: CloseRule("idle, or no pong", "reconnect"),
    CloseCode.ENDED_BY_OPERATOR: CloseRule(
        "ended by an operator; the reason is `reconnect: …` or `stop: …`",
        "as the first word of the reason says",
    ),
    CloseCode.SLOW_CONSUMER: CloseRule("fell too far behind: slow consumer", "reconnect and recover"),
    CloseCode.TOO_FAST: CloseRule("too fast for too long, or too many connections", "back off"),
    CloseCode.UNAVAILABLE: CloseRule("full or draining", "reconnect, spread out"),
}
