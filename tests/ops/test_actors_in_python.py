"""Orders from Python in the name of a request's operator: the same rights as over HTTP."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import realtime
from realtime.core.actors import PERMISSIONS, WRITE_SCOPE, Actor, ActorKind

SCOPES = frozenset({WRITE_SCOPE})
NOBODY = Actor(ActorKind.SESSION, "7", "ann", "acme", SCOPES, permissions=frozenset())
ALLOWED = Actor(ActorKind.SESSION, "7", "ann", "acme", SCOPES, permissions=frozenset(PERMISSIONS.values()))
UNTIL = datetime.now(UTC) + timedelta(hours=1)

ORDERS: list[Callable[[str, Actor], Any]] = [
    lambda tenant, actor: realtime.broadcast(["x"], 1, tenant=tenant, actor=actor),
    lambda tenant, actor: realtime.subscribe("x", tenant=tenant, user_id=1, actor=actor),
    lambda tenant, actor: realtime.unsubscribe("x", tenant=tenant, user_id=1, actor=actor),
    lambda tenant, actor: realtime.disconnect(tenant=tenant, everyone=True, actor=actor),
    lambda tenant, actor: realtime.announce("x", tenant=tenant, actor=actor),
    lambda tenant, actor: realtime.revoke_user(1, tenant=tenant, actor=actor),
    lambda tenant, actor: realtime.ban(tenant=tenant, user_id=1, until=UNTIL, actor=actor),
    lambda tenant, actor: realtime.unban(1, tenant=tenant, actor=actor),
    lambda tenant, actor: realtime.suspend_tenant(tenant, actor=actor),
    lambda tenant, actor: realtime.resume_tenant(tenant, actor=actor),
]


@pytest.mark.parametrize("give", ORDERS)
def test_an_order_needs_its_permission(give: Callable[[str, Actor], Any]) -> None:
    with pytest.raises(realtime.RequestError) as refused:
        give("acme", NOBODY)
    assert refused.value.code is realtime.ErrorCode.PERMISSION_DENIED


@pytest.mark.parametrize("give", ORDERS[:-2])
def test_another_tenant_does_not_exist_for_staff(give: Callable[[str, Actor], Any]) -> None:
    with pytest.raises(realtime.RequestError) as refused:
        give("globex", ALLOWED)
    assert refused.value.code is realtime.ErrorCode.NOT_FOUND


def test_a_node_is_drained_with_the_permission_only() -> None:
    with pytest.raises(realtime.RequestError, match=r"realtime\.drain_node"):
        realtime.drain_node("n1", actor=NOBODY)
