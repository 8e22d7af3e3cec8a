"""Samples: what was counted since the last one, in at most so many rows, and the values of the charts."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime.core.figures import BOUNDS_S, Figures, Histogram, Ledger, Place, RouteFigures, total
from realtime.core.health import strips_of
from realtime.core.points import Selection, columns_of, point_of, quantile_s
from realtime.core.samples import (
    NODES_MAX,
    OTHER,
    Base,
    Sample,
    base_of,
    decode_base,
    decode_samples,
    decode_with_tenants,
    encode,
    encode_sample,
    take,
    together,
)

INTERVAL_S = 10.0


def figures(
    messages: int, *, active: int = 1, tenant: str = "acme", routes: int = 1, **gauges: float
) -> Figures:
    rows = [
        RouteFigures(
            tenant,
            f"/ws/{number}/",
            active,
            0,
            1,
            messages * (number + 1),
            closed_by_code={"1000": messages},
            errors_by_code={"timeout": messages},
        )
        for number in range(routes)
    ]
    times = Histogram()
    for _ in range(messages):
        times.observe(0.004)
    return Figures(
        Place("s", 0),
        "1",
        rows,
        counts={"cpu": {"": messages / 10}, "recoveries": {"full": messages, "failed": 0}},
        gauges={name: {"": value} for name, value in {"start_time": 1.0, **gauges}.items()},
        histograms={"request": times},
    )


def sample(
    nodes: dict[str, Figures], base: Base | None = None, at_s: float = 1_000.0, rows_max: int = 0
) -> Sample:
    return take(nodes, base or Base(at_s - INTERVAL_S), at_s, 0.0, rows_max)


def sums(taken: Sample) -> tuple[int, int, int]:
    rows = [row for each in taken.nodes.values() for row in each.routes]
    return (
        sum(row.active for row in rows),
        sum(row.messages_in for row in rows),
        sum(row.opened_total for row in rows),
    )


def test_a_sample_has_what_was_counted_since_the_last_one() -> None:
    base = base_of({"a": figures(5)}, 990.0)
    taken = sample({"a": figures(8), "b": figures(2)}, base)
    assert (taken.at_s, taken.span_s) == (1_000.0, 10.0)
    assert [row.messages_in for node in "ab" for row in taken.nodes[node].routes] == [3, 2]
    assert taken.nodes["a"].routes[0].closed_by_code == {"1000": 3}
    assert taken.nodes["a"].counts["recoveries"] == {"full": 3}
    assert sum(taken.nodes["a"].histograms["request"].counts) == 3
    # Those that were read are as before.
    assert base.nodes["a"].routes[0].messages_in == 5


def test_a_route_without_anything_is_left_out_and_a_quiet_node_is_not() -> None:
    quiet = figures(5, active=0)
    taken = sample({"a": quiet}, base_of({"a": quiet}, 990.0))
    assert (taken.nodes["a"].routes, taken.nodes["a"].histograms) == ([], {})
    assert taken.nodes["a"].gauges["start_time"] == {"": 1.0}


def test_counts_never_fall() -> None:
    """The node that takes over may know an older beat of the node that has died."""
    taken = sample({"a": figures(3)}, base_of({"a": figures(5)}, 990.0))
    assert (sums(taken)[1], taken.nodes["a"].counts) == (0, {})


def test_what_a_node_counted_before_its_end_is_not_lost_and_not_counted_twice() -> None:
    ledger = Ledger()
    ledger.end("a", figures(7))
    base = base_of({"a": figures(5)}, 990.0)
    taken = sample({**ledger.by_node}, base)
    assert (sums(taken), taken.nodes["a"].gauges) == ((0, 2, 0), {})
    assert sample({**ledger.by_node}, base_of(ledger.by_node, 1_000.0), 1_010.0).nodes == {}


def test_the_time_before_the_first_node_does_not_count() -> None:
    assert take({"a": figures(1)}, Base(0.0), 1_000.0, 997.0, 0).span_s == 3.0
    # A clock that went back gives no time, and so no rates.
    taken = take({"a": figures(1)}, Base(2_000.0), 1_000.0, 997.0, 0)
    assert (taken.span_s, "messages_in" in point_of(taken, Selection())) == (0.0, False)


def test_it_survives_the_way_through_the_database() -> None:
    base = base_of({"a": figures(5)}, 990.0)
    taken = sample({"a": figures(8, routes=3)}, base)
    stored = encode_sample(taken)
    assert list(decode_with_tenants([(b"no sample", stored[1]), (stored[0], b"\x01"), stored])) == [taken]
    assert decode_base(encode(base)) == base
    assert decode_base(b"") == Base(0.0)


def test_what_is_stored_without_tenants_has_a_row_for_each_route() -> None:
    """So that a chart of all tenants does not read the rows of each."""
    rows = [row for number in range(50) for row in figures(3, tenant=f"t{number}", routes=2).routes]
    taken = sample({"a": msgspec.structs.replace(figures(3), routes=rows), "b": figures(1, tenant="t7")})
    body, tenants = encode_sample(taken)
    [whole] = decode_samples([body])
    assert [(row.tenant, row.route) for row in whole.nodes["a"].routes] == [("", "/ws/0/"), ("", "/ws/1/")]
    assert sums(whole) == sums(taken)
    assert point_of(whole, Selection()) == point_of(taken, Selection())
    assert point_of(whole, Selection(route="/ws/1/")) == point_of(taken, Selection(route="/ws/1/"))
    for tenant in ("t7", "t0", "nobody"):
        [of_one] = decode_with_tenants([(body, tenants)], tenant)
        assert {row.tenant for each in of_one.nodes.values() for row in each.routes} <= {tenant}
        assert point_of(of_one, Selection(tenant)) == point_of(taken, Selection(tenant))


def test_samples_of_an_older_version_have_their_tenants_in_the_body() -> None:
    taken = sample({"a": figures(3)})
    assert list(decode_with_tenants([(encode(taken), b"")], "acme")) == [taken]


@given(
    st.lists(st.tuples(st.integers(1, 9), st.integers(1, 12), st.integers(0, 9)), min_size=1, max_size=6),
    st.integers(1, 30),
)
def test_a_bound_on_rows_keeps_the_sums(nodes: list[tuple[int, int, int]], rows_max: int) -> None:
    all_nodes = {
        str(number): figures(messages, routes=routes, tenant=f"t{tenant}")
        for number, (messages, routes, tenant) in enumerate(nodes)
    }
    whole, bounded = sample(all_nodes), sample(all_nodes, rows_max=rows_max)
    assert sums(bounded) == sums(whole)
    assert sum(len(each.routes) for each in bounded.nodes.values()) <= max(rows_max, len(nodes))


def test_the_busiest_routes_stay_apart_and_the_tenant_is_kept_as_long_as_possible() -> None:
    [node] = sample({"a": figures(1, routes=8)}, rows_max=4).nodes.values()
    assert [row.route for row in node.routes] == ["/ws/7/", "/ws/6/", OTHER]
    many = Figures(routes=[RouteFigures(f"t{each}", "/ws/", messages_in=each + 1) for each in range(9)])
    [node] = sample({"a": many}, rows_max=4).nodes.values()
    assert [(row.tenant, row.route) for row in node.routes] == [
        ("t8", "/ws/"),
        ("t7", "/ws/"),
        ("t6", OTHER),
        (OTHER, OTHER),
    ]


def test_a_bound_on_nodes_keeps_the_sums() -> None:
    nodes = {str(number): figures(1) for number in range(NODES_MAX + 5)}
    taken = sample(nodes)
    assert (len(taken.nodes), sums(taken)) == (NODES_MAX, sums(Sample(0, 0, nodes)))
    assert OTHER in taken.nodes


def test_together_counts_add_up_and_the_last_state_holds() -> None:
    first = sample({"a": figures(3, active=4, loop_lag=0.5, broker_up=0.0, outbox_bytes=9)})
    gone = sample({"b": figures(1, active=1)})
    last = Sample(1_010.0, 10.0, {"b": figures(2, active=2, loop_lag=0.1, broker_up=1.0)})
    both = together([first, gone, last])
    assert (both.at_s, both.span_s, sums(both)) == (1_010.0, 30.0, (2, 6, 3))
    assert both.nodes["a"].gauges == {}
    again = together([first, Sample(1_010.0, 10.0, {"a": figures(0, loop_lag=0.1, broker_up=1.0)})])
    assert (again.nodes["a"].gauges["loop_lag"], again.nodes["a"].gauges["broker_up"]) == (
        {"": 0.5},
        {"": 0.0},
    )


def test_values_are_rates_of_what_is_selected() -> None:
    taken = sample({"a": figures(20), "b": figures(40, tenant="globex")})
    whole = point_of(taken, Selection())
    assert (whole["messages_in"], whole["closed.1000"], whole["errors"], whole["connections"]) == (6, 6, 6, 2)
    assert (whole["recoveries.full"], whole["cpu.a"], whole["cpu.b"]) == (6, 0.2, 0.4)
    assert point_of(taken, Selection(tenant="acme"))["messages_in"] == 2
    assert point_of(taken, Selection(tenant="acme", node="b"))["messages_in"] == 0
    assert point_of(taken, Selection(route="/ws/0/", node="b"))["messages_in"] == 4
    part = point_of(taken, Selection(tenant="acme", is_whole=False))
    assert not [
        name for name in part if name.startswith(("cpu", "memory", "lag", "request", "recoveries", "http"))
    ]


def test_a_percentile_is_in_its_bucket() -> None:
    times = Histogram()
    assert quantile_s(times, 99) is None
    for _ in range(99):
        times.observe(0.004)
    times.observe(7.0)
    assert 0.0025 < (quantile_s(times, 50) or 0) <= 0.005
    assert quantile_s(times, 99) == pytest.approx(0.005)
    times.observe(60.0)
    assert quantile_s(times, 100) == BOUNDS_S[-1]


def test_columns_have_a_point_for_each_step_with_a_sample() -> None:
    taken = [Sample(at_s, INTERVAL_S, {"a": figures(10)}) for at_s in (1_010.0, 1_019.0, 1_020.0, 1_060.0)]
    times, values = columns_of(taken, Selection(), 20.0)
    assert times == [1_019.0, 1_020.0, 1_060.0]
    assert values["messages_in"] == [1, 1, 1]
    times, values = columns_of([*taken, Sample(1_080.0, INTERVAL_S)], Selection(), 20.0)
    assert values["cpu.a"] == [0.1, 0.1, 0.1, None]


def test_a_strip_says_how_a_node_was() -> None:
    day = [
        Sample(5.0, 10.0, {"a": figures(1)}),
        Sample(15.0, 10.0, {"a": Figures(gauges={"start_time": {"": 1.0}, "loop_lag": {"max": 0.9}})}),
        Sample(25.0, 10.0, {"a": figures(1, broker_up=0.0), "b": figures(1, start_time=20.0)}),
        Sample(
            45.0, 10.0, {"a": figures(1, draining=1.0), "b": figures(1, limit_fill=0.95, start_time=20.0)}
        ),
        Sample(55.0, 10.0, {"b": figures(1, start_time=20.0)}),
    ]
    strips = strips_of(day, since_s=0.0, until_s=60.0, cell_s=10.0, busy_lag_s=0.25)
    assert [(each["node"], each["cells"]) for each in strips] == [("b", "--o.bo"), ("a", "obx.d-")]


def test_sums_of_samples_are_the_counts() -> None:
    """Whatever is counted in between, on a node that ends too, is in exactly one sample."""
    ledger, base, seen = Ledger(), Base(0.0), 0
    for at_s, alive in (
        (10.0, {"a": figures(3)}),
        (20.0, {"a": figures(5), "b": figures(1)}),
        (30.0, {"b": figures(4)}),
    ):
        if at_s == 30.0:
            ledger.end("a", figures(6))
        nodes = {**ledger.by_node, **alive}
        seen += sums(take(nodes, base, at_s, 0.0, 0))[1]
        base = base_of(nodes, at_s)
    assert seen == total([*ledger.all(), figures(4)]).routes[0].messages_in == 10
