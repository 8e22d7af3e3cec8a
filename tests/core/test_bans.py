"""Bans in memory: users and networks, on one tenant or all, until a time."""

import pytest

from realtime.core.bans import Ban, Bans
from realtime.core.identity import CredentialKind, Identity
from realtime.protocol.close_codes import REASON_MAX_BYTES, operator_reason

NOW_S, LATER_S = 1000.0, 2000.0


def ban(
    number: int = 1, *, tenant: str = "acme", user: str = "", address: str = "", until_s: float = LATER_S
) -> Ban:
    return Ban(number, tenant, user, address, until_s, "")


def identity(user_id: int | str, tenant: str = "acme") -> Identity:
    return Identity(user_id, "u", tenant, frozenset(), CredentialKind.TOKEN)


def test_a_user_is_banned_on_the_tenant_until_the_time() -> None:
    bans = Bans([ban(user="7")])
    assert bans.of_user(identity(7), NOW_S) is not None
    assert bans.of_user(identity(7), LATER_S) is None
    assert bans.of_user(identity(8), NOW_S) is None
    assert bans.of_user(identity(7, "globex"), NOW_S) is None
    assert bans.of_user(None, NOW_S) is None


def test_a_ban_on_every_tenant() -> None:
    bans = Bans([ban(tenant="", user="7"), ban(2, tenant="", address="10.0.0.1")])
    assert bans.of_user(identity(7, "globex"), NOW_S) is not None
    assert bans.of_address("globex", "10.0.0.1", NOW_S) is not None


@pytest.mark.parametrize(
    ("banned", "address", "is_hit"),
    [
        ("10.0.0.1", "10.0.0.1", True),
        ("10.0.0.1", "10.0.0.2", False),
        ("10.0.0.1", "::ffff:10.0.0.1", True),
        ("::ffff:10.0.0.1", "10.0.0.1", True),
        ("10.0.0.0/8", "10.255.1.2", True),
        ("10.0.0.7/8", "10.255.1.2", True),
        ("2001:db8::1", "2001:db8::ffff", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("2001:db8::/32", "2001:db8:5::1", True),
        ("0.0.0.0/0", "2001:db8::1", False),
        ("10.0.0.1", "", False),
        ("10.0.0.1", "/run/socket", False),
        ("nonsense", "nonsense", False),
    ],
)
def test_networks(banned: str, address: str, is_hit: bool) -> None:
    assert (Bans([ban(address=banned)]).of_address("acme", address, NOW_S) is not None) is is_hit


def test_of_two_bans_the_longer_counts() -> None:
    for order in ((1500.0, LATER_S), (LATER_S, 1500.0)):
        bans = Bans(ban(number, user="7", until_s=until_s) for number, until_s in enumerate(order))
        found = bans.of_user(identity(7), 1600.0)
        assert found is not None
        assert found.until_s == LATER_S
        assert len(bans) == 1


@pytest.mark.parametrize("words", ["", "short", "é" * 200, "😀" * 60, "a" + "漢" * 80])
@pytest.mark.parametrize(("reconnect", "first"), [(True, "reconnect: "), (False, "stop: ")])
def test_an_operators_reason_fits_and_ends_with_a_whole_character(
    words: str, reconnect: bool, first: str
) -> None:
    reason = operator_reason(words, reconnect=reconnect)
    assert len(reason.encode()) <= REASON_MAX_BYTES
    assert reason.startswith(first)
    assert (first + (words or "ended by an operator")).startswith(reason)
