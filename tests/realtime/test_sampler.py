"""Samples of the figures of all nodes: one node takes them, another goes on after its end, and old ones are deleted."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast
from unittest.mock import ANY

import pytest
from asgiref.sync import sync_to_async
from django.db import DatabaseError, connection
from django.test.utils import CaptureQueriesContext

from realtime.conf import RealtimeSettings
from realtime.core.figures import Figures, RouteFigures, Values
from realtime.core.liveness import NodeState
from realtime.core.samples import Sample
from realtime.models import FiguresSample, SamplesLease
from realtime.node import sample_rows, sampler
from realtime.node.database import Database
from realtime.node.sampler import STALE_TICKS, Sampler

pytestmark = pytest.mark.django_db(transaction=True)
INTERVAL_S = 10.0
START_S = 1_200_000.0


class Clock:
    """The wall clock and the monotonic one, in step."""

    now_s = START_S

    def __call__(self) -> float:
        return self.now_s


class Nodes:
    """Nodes that know of each other, and what each has counted so far."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.counted: dict[str, int] = {}
        self.ended: dict[str, int] = {}
        # Values of now of the node that takes the sample.
        self.gauges: Values = {"start_time": {"": START_S}}
        self.databases: list[Database] = []

    def sampler(self, name: str, **settings: Any) -> Sampler:
        """A new node."""
        self.counted[name] = 0
        self.databases.append(database := Database(1, 5.0))
        node = SimpleNamespace(
            id=name,
            settings=RealtimeSettings(**({"SAMPLE_INTERVAL_S": INTERVAL_S} | settings)),
            database=database,
            figures=SimpleNamespace(own=lambda: Figures(gauges=self.gauges)),
            cluster=SimpleNamespace(ended_by_node=lambda: figures_of(self.ended)),
            nodes=lambda: [
                NodeState(each, STARTED, figures) for each, figures in figures_of(self.counted).items()
            ],
        )
        return Sampler(cast("sampler.Sampled", node))

    def kill(self, name: str) -> None:
        """End a node, without a word."""
        self.ended[name] = self.counted.pop(name)

    async def tick(self, *samplers: Sampler, passed_s: float = INTERVAL_S) -> list[bool]:
        """Let an interval pass; whether each has stored a sample."""
        self.clock.now_s += passed_s
        for name in self.counted:
            self.counted[name] += 10
        return [await each.tick() for each in samplers]


STARTED = datetime.fromtimestamp(START_S - 100, UTC).isoformat()


def figures_of(counted: dict[str, int]) -> dict[str, Figures]:
    gauges = {"start_time": {"": START_S}}
    return {
        name: Figures(routes=[RouteFigures("acme", "/ws/", messages_in=count)], gauges=gauges)
        for name, count in counted.items()
    }


@pytest.fixture
async def nodes(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Nodes]:
    clock = Clock()
    monkeypatch.setattr(sampler, "time", clock)
    monkeypatch.setattr(sampler, "monotonic", clock)
    made = Nodes(clock)
    yield made
    for database in made.databases:
        await database.close()


@sync_to_async
def stored(since_s: float = 0.0, until_s: float = 2 * START_S) -> list[Sample]:
    return list(sample_rows.read(since_s, until_s))


def messages(samples: list[Sample]) -> int:
    return sum(row.messages_in for each in samples for node in each.nodes.values() for row in node.routes)


async def test_of_two_nodes_one_writes_and_the_other_goes_on_after_its_end(nodes: Nodes) -> None:
    first, second = nodes.sampler("a"), nodes.sampler("b")
    for _ in range(3):
        assert await nodes.tick(first, second) == [True, False]
    assert [each.span_s for each in await stored()] == [110.0, INTERVAL_S, INTERVAL_S]
    nodes.kill("a")
    # Until the lease has stood still for long enough.
    taken = [await nodes.tick(second) for _ in range(STALE_TICKS)]
    assert taken == [*[[False]] * (STALE_TICKS - 1), [True]]
    samples = await stored()
    # The sample after the hand-over covers the time without one, so that no total falls and no rate is wrong.
    assert samples[-1].span_s == STALE_TICKS * INTERVAL_S
    assert messages(samples) == nodes.ended["a"] + nodes.counted["b"]


async def test_while_no_beats_come_a_sample_tells_that_the_broker_is_away(nodes: Nodes) -> None:
    first = nodes.sampler("a")
    nodes.gauges = {"broker_up": {"": 0.0}}
    assert await nodes.tick(first) == [True]
    [sample] = await stored()
    assert sample.nodes["a"].gauges == {"broker_up": {"": 0.0}}
    # Counts are those of the last beat, which the next node has too.
    assert messages([sample]) == nodes.counted["a"]


async def test_a_node_that_stops_hands_over_at_once(nodes: Nodes) -> None:
    first, second = nodes.sampler("a"), nodes.sampler("b")
    await nodes.tick(first, second)
    await first._release()
    assert await nodes.tick(second, first) == [True, False]
    await first._release()
    assert await nodes.tick(first, second) == [False, True]


async def test_a_node_that_was_only_slow_stores_nothing_beside_the_other(nodes: Nodes) -> None:
    first, second = nodes.sampler("a"), nodes.sampler("b")
    await nodes.tick(first, second)
    for _ in range(STALE_TICKS + 1):
        await nodes.tick(second)
    assert await nodes.tick(first, second) == [False, True]
    assert messages(await stored()) == sum(nodes.counted.values())


async def test_of_two_that_take_over_at_once_one_is_too_late(nodes: Nodes) -> None:
    one, two = nodes.sampler("b"), nodes.sampler("c")
    lease = await sync_to_async(sample_rows.read_lease)()
    taking = [each._taking() for each in (one, two)]
    assert [await sync_to_async(sample_rows.write)(each, lease) for each in taking] == [True, False]
    assert await sync_to_async(FiguresSample.objects.count)() == 1


async def test_a_long_range_is_read_from_a_few_rows_that_say_the_same(nodes: Nodes) -> None:
    only = nodes.sampler("a")
    for _ in range(40):
        await nodes.tick(only)
    fine = await stored(nodes.clock.now_s - sample_rows.FINE_RANGE_S, nodes.clock.now_s)
    coarse = await stored(0.0, nodes.clock.now_s)
    assert (len(fine), len(coarse)) == (40, 3 + 5)
    assert messages(fine) == messages(coarse) == 400
    assert sum(each.span_s for each in coarse) == sum(each.span_s for each in fine)


@pytest.mark.parametrize("ticks", [5, 40])
async def test_a_chart_reads_the_rows_of_its_tenant_only(nodes: Nodes, ticks: int) -> None:
    only = nodes.sampler("a")
    for _ in range(ticks):
        await nodes.tick(only)

    @sync_to_async
    def read(tenant: str | None) -> tuple[int, str]:
        with CaptureQueriesContext(connection) as captured:
            samples = list(sample_rows.read(0.0, 2 * START_S, tenant))
        return messages(samples), " ".join(each["sql"] for each in captured)

    assert await read("acme") == (10 * ticks, ANY)
    assert await read("globex") == (0, ANY)
    count, statements = await read(None)
    assert (count, '"tenants"' in statements) == (10 * ticks, False)


async def test_old_samples_are_deleted_a_few_at_a_time(nodes: Nodes) -> None:
    rows = [FiguresSample(at_s=START_S - 1000 - each, body=b"") for each in range(700)]
    await FiguresSample.objects.abulk_create(rows)
    only = nodes.sampler("a", SAMPLE_RETENTION_S=240)
    for _ in range(60):
        await nodes.tick(only)
    ages = [nodes.clock.now_s - row.at_s async for row in FiguresSample.objects.filter(is_coarse=False)]
    assert max(ages) <= 240 + sample_rows.COARSE_SAMPLES * INTERVAL_S
    assert len(ages) == len(set(ages)) <= 24 + sample_rows.COARSE_SAMPLES


async def test_a_clock_that_was_wrong_for_a_while_costs_no_samples(nodes: Nodes) -> None:
    """To one that is far ahead all of them look old."""
    only = nodes.sampler("a", SAMPLE_RETENTION_S=240)
    for _ in range(30):
        await nodes.tick(only)
    before_s, ahead_s = nodes.clock.now_s, 3e8
    nodes.clock.now_s += ahead_s
    for _ in range(15):
        await nodes.tick(only)
    assert len(await stored(before_s - 100.0, before_s)) == 10
    nodes.clock.now_s -= ahead_s
    for _ in range(60):
        await nodes.tick(only)
    assert await FiguresSample.objects.filter(at_s__gt=nodes.clock.now_s).acount() == 0
    # As ever: those of the time that is kept, and no more.
    kept = await FiguresSample.objects.filter(is_coarse=False).acount()
    assert 24 <= kept <= 24 + sample_rows.COARSE_SAMPLES


async def test_a_row_that_cannot_be_read_is_passed_over(nodes: Nodes) -> None:
    """One of another version, for example."""
    await FiguresSample.objects.acreate(at_s=START_S - 120, body=b"not one")
    only = nodes.sampler("a")
    await nodes.tick(only)
    await SamplesLease.objects.aupdate(base=b"not one")
    await nodes.tick(only)
    assert len(await stored()) == 2


async def test_retention_of_zero_keeps_all(nodes: Nodes) -> None:
    await FiguresSample.objects.acreate(at_s=1.0, body=b"")
    only = nodes.sampler("a", SAMPLE_RETENTION_S=0)
    await nodes.tick(only, passed_s=500.0)
    assert await FiguresSample.objects.acount() == 2


async def test_a_tick_costs_one_insert(nodes: Nodes) -> None:
    only = nodes.sampler("a")
    await nodes.tick(only)

    @sync_to_async
    def statements() -> list[str]:
        with CaptureQueriesContext(connection) as captured:
            sample_rows.write(only._taking(), sample_rows.read_lease())
        return [each["sql"].split()[0] for each in captured]

    writes = [each for each in await statements() if each in {"INSERT", "UPDATE"}]
    assert writes == ["UPDATE", "UPDATE", "INSERT"]


async def test_a_database_that_is_away_is_logged_once(
    nodes: Nodes, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    only = nodes.sampler("a")

    def fail() -> None:
        raise DatabaseError

    monkeypatch.setattr(sample_rows, "read_lease", fail)
    for _ in range(3):
        await only._try()
    assert [record.getMessage() for record in caplog.records] == [
        "Samples cannot be stored now: DatabaseError"
    ]
    monkeypatch.undo()
    assert await SamplesLease.objects.acount() == 0
