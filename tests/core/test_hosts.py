"""One reading of a host, whether it comes in a Host header, a target or an origin."""

import pytest

from realtime.core.hosts import Host, origin_form, parse_host, read_host
from realtime.core.origins import Origin, is_own_origin, parse_origin
from realtime.protocol.errors import Refusal

HOSTS = frozenset({"acme.localhost", "[::1]"})


@pytest.mark.parametrize(
    ("written", "name", "port"),
    [
        ("acme.localhost", "acme.localhost", None),
        ("ACME.LocalHost:8000", "acme.localhost", 8000),
        ("acme.localhost.", "acme.localhost", None),
        ("acme.localhost.:80", "acme.localhost", 80),
        ("[::1]:8000", "[::1]", 8000),
        ("[0:0:0::0001]", "[::1]", None),
        ("127.0.0.1:65535", "127.0.0.1", 65535),
    ],
)
def test_hosts(written: str, name: str, port: int | None) -> None:
    host = parse_host(written)
    assert host is not None
    assert (host.name, host.port) == (name, port)


@pytest.mark.parametrize(
    "written",
    [
        "",
        ".",
        "acme.localhost..",
        "acme.localhost:",
        "acme.localhost:0",
        "acme.localhost:0080",
        "acme.localhost:00",
        "acme.localhost:65536",
        "acme.localhost:+80",
        "acme.localhost:8\uff10",
        "[::1",
        "[1]",
        "[::ffff:999.0.0.1]",
        "eve@acme.localhost",
        "a" * 64,
    ],
)
def test_what_is_no_host(written: str) -> None:
    assert parse_host(written) is None


def test_there_is_one_host_header() -> None:
    assert read_host([(b"host", b"acme.localhost")]) == Host("acme.localhost", None)
    for values in ([], [b"acme.localhost"] * 2, [b"acme.localhost:0080"]):
        with pytest.raises(Refusal):
            read_host([(b"host", value) for value in values])


def test_an_origin_is_compared_as_a_browser_does() -> None:
    def is_own(origin: str, host: str) -> bool:
        requested, parsed = parse_host(host), parse_origin(origin)
        assert requested is not None
        return parsed is not None and is_own_origin(parsed, hosts=HOSTS, scheme="http", requested=requested)

    assert is_own("http://acme.localhost:8000", "acme.localhost:8000")
    assert is_own("http://acme.localhost", "acme.localhost:80")
    assert is_own("http://acme.localhost:8000", "acme.localhost.:8000")
    assert is_own("http://[::1]:8000", "[::1]:8000")
    # To a browser the root dot makes another site.
    assert not is_own("http://acme.localhost.:8000", "acme.localhost.:8000")
    assert not is_own("http://acme.localhost.:8000", "acme.localhost:8000")
    assert not is_own("http://acme.localhost:0080", "acme.localhost")
    assert not is_own("http://acme.localhost/", "acme.localhost")


def test_an_origin_with_the_root_dot_may_be_allowed() -> None:
    assert parse_origin("https://app.example.com.") == Origin("https", "app.example.com.", 443)
    assert parse_origin("https://app.example.com") == Origin("https", "app.example.com", 443)


@pytest.mark.parametrize(
    ("target", "host", "form"),
    [
        (b"/a?b", b"anything, even bad", b"/a?b"),
        (b"//evil.example/a", b"acme.localhost", b"//evil.example/a"),
        (b"http://acme.localhost/a?b", b"acme.localhost", b"/a?b"),
        (b"http://acme.localhost./a", b"acme.localhost", b"/a"),
        (b"WSS://acme.localhost/a", b"acme.localhost:443", b"/a"),
        (b"http://acme.localhost?b", b"acme.localhost", b"/?b"),
        (b"http://acme.localhost/?u=http://b.example/", b"acme.localhost", b"/?u=http://b.example/"),
    ],
)
def test_targets(target: bytes, host: bytes, form: bytes) -> None:
    assert origin_form(target, [(b"host", host)]) == form


@pytest.mark.parametrize(
    "target",
    [
        b"",
        b"*",
        b"acme.localhost:80",
        b"/a#b",
        b"ftp://acme.localhost/a",
        b"http:///a",
        b"http://globex.localhost/a",
        b"http://acme.localhost:81/a",
        b"https://acme.localhost:80/a",
        b"http://eve@acme.localhost/a",
        b"http://acme.localhost#@globex.localhost/a",
        b"http://acme.localhost\\.globex.localhost/a",
    ],
)
def test_targets_that_name_another_host_or_none(target: bytes) -> None:
    with pytest.raises(Refusal) as caught:
        origin_form(target, [(b"host", b"acme.localhost")])
    assert (caught.value.status, caught.value.code) == (400, "bad_target")


def test_a_tenant_that_names_no_hosts_owns_the_one_that_was_asked() -> None:
    def is_own(origin: str, host: str) -> bool:
        requested, parsed = parse_host(host), parse_origin(origin)
        assert requested is not None
        return parsed is not None and is_own_origin(parsed, hosts=(), scheme="https", requested=requested)

    assert is_own("https://shop.example", "shop.example")
    assert is_own("https://shop.example:8443", "shop.example:8443")
    assert not is_own("http://shop.example", "shop.example")
    assert not is_own("https://shop.example", "shop.example:8443")
    assert not is_own("https://evil.example", "shop.example")
    assert not is_own("https://sub.shop.example", "shop.example")
