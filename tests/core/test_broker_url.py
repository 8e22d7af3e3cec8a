"""`REDIS_URL` in each of its forms, and a sentence for each mistake."""

from typing import Any

import pytest

from realtime.core.broker_url import (
    BrokerKind,
    BrokerUrlError,
    cache_settings,
    channel_layer_settings,
    is_cluster,
    parse_broker_url,
    parse_single_url,
)


@pytest.mark.parametrize(
    ("url", "nodes"),
    [
        ("redis://localhost", (("localhost", 6379),)),
        ("redis://user:p%40ss@10.0.0.1:6380/3", (("10.0.0.1", 6380),)),
        ("rediss://:secret@[::1]:6380/0?ssl_cert_reqs=none", (("::1", 6380),)),
        ("unix:///run/redis.sock?db=2", ()),
        ("unix://user:secret@/run/redis.sock", ()),
    ],
)
def test_one_server_is_for_redis_py_as_it_is(url: str, nodes: Any) -> None:
    address = parse_broker_url(url)
    assert (address.kind, address.nodes, address.prefix) == (BrokerKind.SINGLE, nodes, "rockstar")
    assert address.url == url


def test_the_prefix_is_ours_and_the_other_options_stay() -> None:
    address = parse_broker_url("rediss://h/1?ssl_cert_reqs=none&prefix=shop-2&client_name=web")
    assert address.prefix == "shop-2"
    assert address.url == "rediss://h/1?ssl_cert_reqs=none&client_name=web"


def test_sentinels() -> None:
    address = parse_broker_url("redis+sentinel://web:p%2Fw@a:1,[::1]:2,c/my.master/4?prefix=x")
    assert address.kind is BrokerKind.SENTINEL
    assert address.nodes == (("a", 1), ("::1", 2), ("c", 26379))
    assert (address.master, address.prefix, address.is_tls) == ("my.master", "x", False)
    assert address.options == {"db": 4, "username": "web", "password": "p/w"}
    assert "password" not in address.sentinel_options


@pytest.mark.parametrize(
    ("hosts", "nodes"),
    [
        ("[::1]:1", [("::1", 1)]),
        ("[::1]:1,[::2]:2", [("::1", 1), ("::2", 2)]),
        ("a:1,[fe80::1]:7,b:8", [("a", 1), ("fe80::1", 7), ("b", 8)]),
        ("a:1,b:2,[::1]:3", [("a", 1), ("b", 2), ("::1", 3)]),
    ],
)
def test_every_host_may_be_an_ipv6_address(hosts: str, nodes: list[tuple[str, int]]) -> None:
    """In each version of Python: some of them refuse such a URL in `urlsplit`."""
    for url in (f"redis+sentinel://u:p@{hosts}/m", f"redis+cluster://u:p@{hosts}?prefix=x"):
        assert list(parse_broker_url(url).nodes) == nodes


def test_sentinels_may_have_a_password_and_tls_of_their_own() -> None:
    address = parse_broker_url(
        "rediss+sentinel://:pw@a/m?ssl_cert_reqs=none&sentinel_username=s&sentinel_password=t"
    )
    assert address.is_tls
    assert address.options == {"password": "pw", "ssl_cert_reqs": "none"}
    sentinel = dict(address.sentinel_options)
    assert {
        "username": "s",
        "password": "t",
        "ssl": True,
        "ssl_cert_reqs": "none",
    }.items() <= sentinel.items()


def test_a_cluster_is_for_topics_only() -> None:
    address = parse_broker_url("redis+cluster://web:pw@a:1,b")
    assert (address.kind, address.nodes) == (BrokerKind.CLUSTER, (("a", 1), ("b", 6379)))
    assert [is_cluster(url) for url in ("redis+cluster://a", "rediss+cluster://a", "redis://a", "")] == [
        True,
        True,
        False,
        False,
    ]
    for use in (parse_single_url, channel_layer_settings, cache_settings):
        with pytest.raises(BrokerUrlError, match="cluster"):
            use("redis+cluster://a")


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("", "Expected redis://"),
        ("localhost:6379", "Expected redis://"),
        ("http://host", "Expected redis://"),
        ("redis+tunnel://host", "Expected redis://"),
        ("redis://[x", "IPv6"),
        ("redis://", "host name"),
        ("redis:///0", "host name"),
        ("redis://a b", "spaces"),
        ("redis://a\n", "spaces"),
        ("redis://:pass#word@host", "%23"),
        ("redis://host:", "port"),
        ("redis://host:0", "port"),
        ("redis://host:65536", "port"),
        ("redis://host:six", "port"),
        ("redis://host:٦", "port"),
        ("redis://::1", "IPv6"),
        ("redis://a,b", "Several hosts"),
        ("redis://host/one", "database"),
        ("redis://host/-1", "database"),
        ("redis://host/1/2", "database"),
        ("redis://host?db=x", "database"),
        ("redis://host?prefix=", "prefix"),
        ("redis://host?prefix=a&prefix=b", "prefix"),
        ("redis://host?prefix=a:b", "prefix"),
        ("redis://host?prefix=" + "x" * 65, "prefix"),
        ("redis://host?prefx=a", "prefx"),
        ("redis://host?ssl_cert_reqs=none", "ssl_cert_reqs"),
        ("redis://host?health_check_interval=soon", "health_check_interval"),
        ("unix://", "path"),
        ("unix:///", "path"),
        ("redis+sentinel://a:1,b:2", "name of the master"),
        ("redis+sentinel://a:1,b:2/", "name of the master"),
        ("redis+sentinel://a:1,b:2/my master", "spaces"),
        ("redis+sentinel://a:1,b:2/m/x", "database"),
        ("redis+sentinel://a:1,b:2/m/0/0", "database"),
        ("redis+sentinel://a:1,,b:2/m", "host name"),
        ("redis+sentinel://a:1,a:1/m", "twice"),
        ("redis+sentinel:///m", "host name"),
        ("redis+sentinel://secret@a/m", "user:password@"),
        ("redis+sentinel://a/m?health_check_interval=soon", "health_check_interval"),
        ("redis+sentinel://" + ",".join(f"h{n}" for n in range(65)) + "/m", "at most 64"),
        ("redis+cluster://a,b/1", "database 0"),
        ("redis+cluster://a,b?db=1", "database 0"),
        ("redis+cluster://", "host name"),
    ],
)
def test_each_mistake_has_a_sentence(url: str, says: str) -> None:
    with pytest.raises(BrokerUrlError) as caught:
        parse_broker_url(url)
    text = str(caught.value)
    assert says in text
    assert text.endswith(".")
    assert "secret" not in text


def test_no_password_is_shown() -> None:
    for url in ("redis://u:hidden@h", "redis+sentinel://u:hidden@h/m?sentinel_password=hidden"):
        assert "hidden" not in repr(parse_broker_url(url))


def test_the_settings_of_one_server() -> None:
    layer = channel_layer_settings("redis://h:1/2?prefix=shop")
    assert layer["CONFIG"] == {
        "hosts": [{"socket_timeout": 30, "address": "redis://h:1/2"}],
        "prefix": "shop",
    }
    cache = cache_settings("redis://:a,b@h:1/2?prefix=shop")
    assert cache["LOCATION"] == ["redis://:a,b@h:1/2"]
    assert cache["KEY_PREFIX"] == "shop"
    assert "pool_class" not in cache["OPTIONS"]


def test_the_settings_of_sentinels() -> None:
    url = "rediss+sentinel://:pw@a,b/m/2"
    (host,) = channel_layer_settings(url)["CONFIG"]["hosts"]
    assert host["sentinels"] == [("a", 26379), ("b", 26379)]
    expected = {"master_name": "m", "db": 2, "password": "pw", "ssl": True, "socket_timeout": 30}
    assert expected.items() <= host.items()
    assert cache_settings(url)["LOCATION"] == [url]
