"""Sums of figures, and the figures of nodes that ended."""

import pytest

from realtime.core import figures as module
from realtime.core.figures import BOUNDS_S, Figures, Histogram, Ledger, Place, RouteFigures, total


def figures(messages: int, *, worker: int = 0, active: int = 0, routes: int = 1) -> Figures:
    rows = [
        RouteFigures("acme", f"/ws/{number}/", messages_in=messages, active=active, errors_by_code={"x": 1})
        for number in range(routes)
    ]
    return Figures(
        Place("s", worker),
        routes=rows,
        counts={"waits": {"": messages}},
        gauges={"lag": {"": messages}, "loop_lag": {"p99": messages}},
    )


def messages(all_figures: list[Figures]) -> int:
    return sum(row.messages_in for each in all_figures for row in each.routes)


def test_a_time_is_in_the_first_bucket_that_holds_it() -> None:
    histogram = Histogram()
    for value_s in (0.0, BOUNDS_S[0], BOUNDS_S[0] + 1e-9, BOUNDS_S[-1], BOUNDS_S[-1] + 1):
        histogram.observe(value_s)
    assert (histogram.counts[0], histogram.counts[1]) == (2, 1)
    assert histogram.counts[-2:] == [1, 1]
    assert sum(histogram.counts) == 5


def test_counts_add_up_and_gauges_too_unless_one_of_them_matters() -> None:
    one, two = figures(3, active=2), figures(4, active=1)
    result = total([one, two])
    [row] = result.routes
    assert (row.messages_in, row.active, row.errors_by_code) == (7, 3, {"x": 2})
    assert result.counts == {"waits": {"": 7}}
    assert result.gauges == {"lag": {"": 7}, "loop_lag": {"p99": 4}}
    # One node that does not reach the broker is what an alert looks for.
    up, away = (Figures(gauges={"broker_up": {"": value}}) for value in (1.0, 0.0))
    assert total([up, away, up]).gauges == total([away, up]).gauges == {"broker_up": {"": 0.0}}
    # The alert compares it with the connections of all.
    limited = Figures(gauges={"max_fds": {"": 100.0}})
    assert total([limited, limited]).gauges == {"max_fds": {"": 200.0}}
    # Those that were added are as before.
    assert (one.routes[0].messages_in, one.routes[0].errors_by_code) == (3, {"x": 1})


def test_a_tenant_sees_its_own_part() -> None:
    both = Figures(
        routes=[RouteFigures("acme", "/"), RouteFigures("globex", "/")], publish_failures={"globex": 2}
    )
    assert [row.tenant for row in both.of_tenant("acme").routes] == ["acme"]
    assert both.of_tenant("acme").publish_failures == {"acme": 0}


def test_counts_of_an_ended_node_stay_and_its_connections_do_not() -> None:
    ledger = Ledger()
    ledger.end("a", figures(3, active=2))
    [kept] = ledger.all()
    assert (messages([kept]), kept.routes[0].active, kept.gauges) == (3, 0, {})
    ledger.forget("a")
    assert ledger.all() == []


@pytest.mark.parametrize("routes", [1, 100])
def test_older_ones_become_sums_by_place(monkeypatch: pytest.MonkeyPatch, routes: int) -> None:
    monkeypatch.setattr(module, "ENDED_MAX", 3)
    monkeypatch.setattr(module, "KEPT_ROWS_MAX", 150)
    ledger = Ledger()
    for number in range(20):
        ledger.end(str(number), figures(1, worker=number % 2, routes=routes))
    assert messages(ledger.all()) == 20 * routes
    assert len(ledger.by_node) <= 3
    assert sum(len(each.routes) for each in ledger.by_node.values()) <= 150
    # Both places are named while there is room. The rest is summed without a place.
    assert {each.place.worker for each in ledger.sums} == {0, 1}


def test_the_number_of_places_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ENDED_MAX", 1)
    monkeypatch.setattr(module, "PLACES_MAX", 4)
    ledger = Ledger()
    for number in range(20):
        ledger.end(str(number), figures(1, worker=number))
    assert messages(ledger.all()) == 20
    assert len(ledger.sums) <= 5
    assert Place() in [each.place for each in ledger.sums]


def test_a_new_node_learns_what_it_does_not_know() -> None:
    old, new = Ledger(), Ledger()
    old.end("a", figures(3))
    old.end("b", figures(5))
    old.end("alive", figures(7))
    new.end("b", figures(5))
    for _ in range(2):
        new.learn(old, ["alive"])
    assert messages(new.all()) == 8
