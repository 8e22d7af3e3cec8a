"""`manage.py rt`: who is said to have given an order."""

from functools import partial
from typing import Any

import pytest

from realtime.management import rt


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
