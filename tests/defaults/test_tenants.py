"""The one tenant of a project that has none: its hosts are ALLOWED_HOSTS."""

import pytest
from pytest_django import Settings

from realtime.core.identity import Tenant
from realtime.defaults.tenants import OneTenant


@pytest.mark.parametrize(
    ("allowed", "host", "is_found"),
    [
        (["shop.example"], "shop.example", True),
        (["Shop.Example"], "shop.example", True),
        (["shop.example"], "evil.example", False),
        ([".shop.example"], "a.shop.example", True),
        (["*"], "anything.example", True),
        ([], "localhost", False),
        (["[::1]"], "[::1]", True),
    ],
)
def test_a_host_is_the_tenants_if_it_is_allowed(
    settings: Settings, allowed: list[str], host: str, is_found: bool
) -> None:
    settings.DEBUG, settings.ALLOWED_HOSTS = False, allowed
    assert (OneTenant().lookup(host) is not None) is is_found


def test_in_development_it_is_localhost(settings: Settings) -> None:
    settings.DEBUG, settings.ALLOWED_HOSTS = True, []
    directory = OneTenant()
    assert [directory.lookup(host) for host in ("localhost", "a.localhost", "127.0.0.1", "[::1]")] == [
        Tenant(1, "main")
    ] * 4
    assert directory.lookup("shop.example") is None


def test_its_own_origins_are_the_exact_hosts_only(settings: Settings) -> None:
    settings.ALLOWED_HOSTS = ["a.example", "b.example"]
    directory = OneTenant()
    assert directory.lookup("a.example") == Tenant(1, "main", hosts=frozenset({"a.example", "b.example"}))
    # A pattern does not name its hosts, so the tenant has no list of them.
    settings.ALLOWED_HOSTS = ["a.example", ".example.com"]
    assert directory.lookup("a.example") == Tenant(1, "main")


def test_there_is_no_other_tenant() -> None:
    directory = OneTenant()
    assert (directory.has_slug("main"), directory.has_slug("acme"), directory.only_slug) == (
        True,
        False,
        "main",
    )
