"""`manage.py rt`: the audit log names the user who gave an order."""

from functools import partial
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from realtime.management import rt
from realtime.topics.engine.broker_connection import NotSentError


@pytest.mark.parametrize(("sudo", "named"), [("alice", "alice"), ("", "rockstar")])
def test_the_audit_log_names_the_user_who_called_sudo(
    monkeypatch: pytest.MonkeyPatch, sudo: str, named: str
) -> None:
    monkeypatch.setenv("SUDO_USER", sudo)
    monkeypatch.setenv("LOGNAME", "rockstar")
    given: list[Any] = []

    def carry_out(work: "partial[Any]") -> dict[str, int]:
        given.append(work.keywords["order"])
        return {"count": 0}

    monkeypatch.setattr(rt, "call", carry_out)
    rt.act("unban", {"id": 1})
    assert [order.actor.name for order in given] == [named]


def test_a_broker_that_is_away_is_said_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_name: str, _options: object) -> None:
        raise NotSentError("The broker cannot be reached: [Errno 111] Connect call failed.")

    monkeypatch.setattr(rt, "read", fail)
    with pytest.raises(CommandError) as told:
        call_command("rt", "nodes")
    assert str(told.value) == "The broker (REDIS_URL) cannot be reached: [Errno 111] Connect call failed."


def test_an_option_that_is_not_written_out_is_refused() -> None:
    # `rt connections` has --user with a name. Here it would stand for --user-id, and find nobody.
    with pytest.raises(CommandError, match="--user"):
        call_command("rt", "ban", "--user", "alice", "--until", "1h")
