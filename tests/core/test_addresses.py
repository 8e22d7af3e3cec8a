"""Which addresses count as one, and which proxies are believed."""

import pytest

from realtime.core.addresses import TrustedProxies, address_key


@pytest.mark.parametrize(
    ("address", "key"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("::ffff:c000:207", "192.0.2.7"),
        ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff:ffff:ffff:ffff", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::1", "2001:db8:1:3::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::1", "::/64"),
        ("", ""),
        ("unknown", "unknown"),
        ("x" * 1000, "x" * 64),
    ],
)
def test_what_counts_as_one(address: str, key: str) -> None:
    assert address_key(address) == key


def test_proxies_by_address_and_network() -> None:
    proxies = TrustedProxies(["127.0.0.1", " 10.0.0.0/8 ", "2001:db8::/32", ""])
    for trusted in ("127.0.0.1", "::ffff:127.0.0.1", "10.1.2.3", "::ffff:10.1.2.3", "2001:db8::9"):
        assert trusted in proxies
    for stranger in ("127.0.0.2", "11.0.0.1", "::1", "", "unknown"):
        assert stranger not in proxies
    assert "::ffff:127.0.0.1/128" in proxies.spelled_out()
    assert "::ffff:10.0.0.0/104" in proxies.spelled_out()


@pytest.mark.parametrize("written", ["::ffff:10.0.0.1", "::FFFF:a00:1", "::ffff:10.0.0.0/120", "10.0.0.1"])
def test_a_proxy_may_be_written_as_a_mapped_address(written: str) -> None:
    proxies = TrustedProxies([written])
    for trusted in ("10.0.0.1", "::ffff:10.0.0.1", "::ffff:a00:1"):
        assert trusted in proxies
    assert "10.0.1.1" not in proxies
    assert "::a00:1" not in proxies


def test_nobody_and_everybody() -> None:
    assert "127.0.0.1" not in TrustedProxies(())
    assert TrustedProxies(()).spelled_out() == []
    assert "anything" in TrustedProxies(["*"])
    assert TrustedProxies(["*"]).spelled_out() == ["*"]


@pytest.mark.parametrize("wrong", ["proxy", "10.0.0.0/33", "127.0.0.1:80"])
def test_what_is_no_address_is_named(wrong: str) -> None:
    with pytest.raises(ValueError, match=wrong.replace(".", "[.]")):
        TrustedProxies(["127.0.0.1", wrong])
