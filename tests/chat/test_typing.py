"""Typing on one connection, on a clock of the test's own."""

import pytest

from chat.typing import ANNOUNCE_EVERY_S, LOOKUPS_BURST, LOOKUPS_PER_S, ROOMS_MAX, Typing
from realtime.protocol.errors import ErrorCode, RequestError


def test_a_room_is_told_once_in_a_while() -> None:
    typing = Typing(0.0)
    times_s = [n / 10 for n in range(50)]
    assert [now_s for now_s in times_s if typing.is_due(1, now_s)] == [0.0, 1.0, 2.0, 3.0, 4.0]


def test_what_is_remembered_is_bounded() -> None:
    typing = Typing(0.0)
    due = [typing.is_due(room_id, 0.0) for room_id in range(10 * ROOMS_MAX)]
    assert sum(due) == len(typing._announced_s) == ROOMS_MAX
    assert typing.is_due(10**6, ANNOUNCE_EVERY_S)
    assert len(typing._announced_s) == 1


def test_questions_are_bounded_and_come_back() -> None:
    typing = Typing(0.0)
    assert all(typing.may_look_up(room_id, 0.0) for room_id in range(LOOKUPS_BURST))
    with pytest.raises(RequestError) as refused:
        typing.may_look_up(7, 0.0)
    assert (refused.value.code, refused.value.retry_after_ms) == (
        ErrorCode.RATE_LIMITED,
        1000 / LOOKUPS_PER_S,
    )
    assert typing.is_due(7, 0.0)
    assert typing.may_look_up(7, 0.0) is False
    assert typing.may_look_up(8, 1 / LOOKUPS_PER_S) is True
