"""The orders that each kind of operator may give."""

import pytest

from realtime.core.actors import CODE, FOR_ALL, PERMISSIONS, READ_SCOPE, WRITE_SCOPE, Actor, ActorKind

BOTH = frozenset({READ_SCOPE, WRITE_SCOPE})
ALL = frozenset({*PERMISSIONS, *FOR_ALL})


def operator(
    tenant: str | None, *, scopes: frozenset[str] = BOTH, permissions: set[str] | None = None
) -> Actor:
    held = None if permissions is None else frozenset(permissions)
    return Actor(ActorKind.SESSION, "7", "ann", tenant, scopes, permissions=held)


@pytest.mark.parametrize(
    ("actor", "orders"),
    [
        (CODE, ALL),
        (operator(None), ALL),
        (operator("acme"), ALL - FOR_ALL - {"drain"}),
        (operator(None, scopes=frozenset({READ_SCOPE})), frozenset()),
        (operator("acme", permissions=set()), frozenset()),
        (operator("acme", permissions=set(PERMISSIONS.values())), ALL - FOR_ALL),
        (operator("acme", permissions={"realtime.publish_topic"}), {"publish", "broadcast"}),
        (operator("acme", permissions={"realtime.add_ban"}), {"ban"}),
        (operator("acme", permissions={"auth.announce"}), frozenset()),
        (operator("acme", scopes=frozenset(), permissions={"realtime.announce"}), frozenset()),
    ],
)
def test_an_operator_may_give_these_orders(actor: Actor, orders: frozenset[str]) -> None:
    assert actor.orders() == orders


def test_what_is_missing_is_named() -> None:
    assert "realtime.announce" in operator("acme", permissions=set()).fault_of("announce")
    assert WRITE_SCOPE in operator(None, scopes=frozenset()).fault_of("announce")
    assert "superuser" in operator("acme").fault_of("suspend")
