"""The contract of `History`, over every engine."""

import asyncio
import contextlib
from typing import Any

import msgspec
import pytest

from realtime.core.history import ENTRY_OVERHEAD_BYTES, Draft, Publication, Publisher
from realtime.core.position import Position
from realtime.core.topics import Retention, TopicKey
from realtime.protocol.errors import ErrorCode, RequestError
from realtime.topics.engine.drafts import make_draft
from realtime.topics.engine.ports import POSITIONS_PER_CALL, History, Page
from tests.engine.conftest import IDEMPOTENCY_TTL_S, Engine

KEY = TopicKey("acme", "news")
RETENTION = Retention(size=1000, ttl_s=300)
ALICE = Publisher(1, "alice")
BOB = Publisher(2, "bob")


def draft(data: Any, *, by: Publisher | None = None, once: str | None = None) -> Draft:
    return make_draft(KEY.topic, data, by, time="2026-01-01T00:00:00+00:00", idempotency_key=once)


def value(publication: Publication) -> Any:
    return msgspec.json.decode(publication.data)


async def fill(history: History, count: int, retention: Retention = RETENTION) -> str:
    """Publish 1 to `count`; gives the epoch."""
    for number in range(1, count + 1):
        added = await history.add(KEY, draft(number), retention)
    return added.position.epoch


def data_of(page: Page) -> list[Any]:
    assert page.publications is not None
    return [value(publication) for publication in page.publications]


def offsets_of(page: Page) -> list[int]:
    assert page.publications is not None
    return [publication.offset for publication in page.publications]


async def test_a_new_topic_is_at_0_and_stays_in_its_epoch(engine: Engine) -> None:
    history = engine.history()
    position = await history.position(KEY)
    assert position.offset == 0
    assert position.epoch
    assert await history.position(KEY) == position
    assert await history.since(KEY, position, 10, 0) == Page(position, [])
    assert await history.latest(KEY, 10, 0) == Page(position, [])
    added = await history.add(KEY, draft("first"), RETENTION)
    assert added.position == Position(position.epoch, 1)


async def test_topics_never_written_share_an_epoch_that_no_other_tenant_has(engine: Engine) -> None:
    history, other_node = engine.history(), engine.history()
    keys = [TopicKey("acme", "a"), TopicKey("globex", "a"), TopicKey("acme", "b" * 255)]
    positions = [await history.position(key) for key in keys]
    assert positions[0] == positions[2]
    assert positions[0].epoch != positions[1].epoch
    assert (await history.since(keys[1], positions[0], 10, 0)).publications is None
    assert await other_node.positions(keys) == positions
    await history.add(KEY, draft("first"), RETENTION)
    assert await other_node.positions(keys) == positions
    await engine.lose_everything()
    assert (await history.position(keys[0])).epoch != positions[0].epoch


async def test_who_came_before_the_first_publication_misses_nothing(engine: Engine) -> None:
    history = engine.history()
    before = await history.position(KEY)
    assert (await history.since(KEY, Position(before.epoch, 1), 10, 0)).publications is None
    await fill(history, 3)
    page = await history.since(KEY, before, 10, 0)
    assert page.position == Position(before.epoch, 3)
    assert data_of(page) == [1, 2, 3]


async def test_many_positions_come_in_the_order_asked(engine: Engine) -> None:
    history = engine.history()
    keys = [TopicKey("acme", f"t{number}") for number in range(POSITIONS_PER_CALL * 2 + 50)]
    for key in keys[::100]:
        await history.add(key, draft(1), RETENTION)
    positions = await history.positions(keys)
    assert [position.offset for position in positions] == [int(at % 100 == 0) for at in range(len(keys))]
    assert positions[123] == await history.position(keys[123])
    assert await history.positions([]) == []


async def test_a_page_ends_at_its_bytes(engine: Engine) -> None:
    history = engine.history()
    for number in range(100):
        added = await history.add(KEY, draft(f"{number:02}" + "x" * 996), RETENTION)
    begin = Position(added.position.epoch, 0)
    for max_bytes, count in ((7000, 7), (6999, 6), (50_000, 50), (1, 1)):
        first = await history.since(KEY, begin, 1000, max_bytes)
        newest = await history.latest(KEY, 1000, max_bytes)
        assert offsets_of(first) == list(range(1, count + 1))
        assert offsets_of(newest) == list(range(101 - count, 101))
        assert first.position == newest.position == added.position
    assert offsets_of(await history.since(KEY, begin, 3, 7000)) == [1, 2, 3]
    assert offsets_of(await history.latest(KEY, 3, 7000)) == [98, 99, 100]
    assert len(offsets_of(await history.since(KEY, begin, 1000, 0))) == 100


async def test_a_topic_keeps_no_more_than_its_bytes(engine: Engine) -> None:
    history = engine.history(topic_bytes=10 * (1000 + ENTRY_OVERHEAD_BYTES))
    for _ in range(37):
        added = await history.add(KEY, draft("x" * 998), RETENTION)
    assert offsets_of(await history.latest(KEY, 1000, 0)) == list(range(28, 38))
    epoch = added.position.epoch
    assert offsets_of(await history.since(KEY, Position(epoch, 27), 1000, 0)) == list(range(28, 38))
    assert (await history.since(KEY, Position(epoch, 26), 1000, 0)).publications is None
    await history.add(KEY, draft("x" * 5000), RETENTION)
    assert offsets_of(await history.latest(KEY, 1000, 0)) == list(range(32, 39))


async def test_a_publication_beyond_the_bytes_of_a_topic_is_numbered_and_not_kept(engine: Engine) -> None:
    history = engine.history(topic_bytes=10_000)
    epoch = await fill(history, 3)
    added = await history.add(KEY, draft("x" * 20_000), RETENTION)
    assert added.publication is not None
    assert added.position == Position(epoch, 4)
    assert offsets_of(await history.latest(KEY, 1000, 0)) == []
    assert (await history.since(KEY, Position(epoch, 3), 10, 0)).publications is None
    await history.add(KEY, draft("small"), RETENTION)
    assert data_of(await history.since(KEY, Position(epoch, 4), 10, 0)) == ["small"]


async def test_a_topic_without_bound_in_bytes_keeps_all(engine: Engine) -> None:
    history = engine.history(topic_bytes=0)
    for _ in range(100):
        await history.add(KEY, draft("x" * 50_000), RETENTION)
    assert len(offsets_of(await history.latest(KEY, 1000, 0))) == 100


async def test_offsets_rise_by_one(engine: Engine) -> None:
    history = engine.history()
    offsets = [(await history.add(KEY, draft(number), RETENTION)).position.offset for number in range(5)]
    assert offsets == [1, 2, 3, 4, 5]


async def test_a_publication_comes_back_as_it_went_in(engine: Engine) -> None:
    history = engine.history()
    data = {"text": "Grüße 👋", "n": 2**63, "f": 0.5, "none": None, "list": [True, {"a": []}]}
    added = await history.add(KEY, draft(data, by=ALICE), RETENTION)
    assert added.publication is not None
    assert added.publication.publisher == ALICE
    page = await history.latest(KEY, 1, 0)
    assert page.publications == [added.publication]
    assert value(page.publications[0]) == data
    assert msgspec.to_builtins(page.publications[0].publisher) == {"id": 1, "username": "alice"}


async def test_concurrent_publications_are_numbered_without_holes(engine: Engine) -> None:
    nodes = [engine.history(), engine.history()]
    added = await asyncio.gather(
        *(nodes[number % 2].add(KEY, draft(number), RETENTION) for number in range(100))
    )
    by_offset = {each.position.offset: each.publication.data for each in added if each.publication}
    assert sorted(by_offset) == list(range(1, 101))
    page = await nodes[0].since(KEY, Position(added[0].position.epoch, 0), 1000, 0)
    assert page.publications is not None
    assert [each.offset for each in page.publications] == list(range(1, 101))
    assert all(by_offset[each.offset] == each.data for each in page.publications)


async def test_only_the_newest_are_kept(engine: Engine) -> None:
    history = engine.history()
    epoch = await fill(history, 8, Retention(size=5, ttl_s=300))
    assert data_of(await history.latest(KEY, 100, 0)) == [4, 5, 6, 7, 8]
    assert data_of(await history.since(KEY, Position(epoch, 3), 100, 0)) == [4, 5, 6, 7, 8]
    assert (await history.since(KEY, Position(epoch, 2), 100, 0)).publications is None


async def test_the_newest_publication_says_how_many_are_kept(engine: Engine) -> None:
    history = engine.history()
    epoch = await fill(history, 8)
    await history.add(KEY, draft(9), Retention(size=2, ttl_s=300))
    assert data_of(await history.latest(KEY, 100, 0)) == [8, 9]
    assert (await history.since(KEY, Position(epoch, 6), 100, 0)).publications is None


@pytest.mark.parametrize("retention", [Retention(size=0, ttl_s=300), Retention(size=10, ttl_s=0)])
async def test_nothing_kept_still_counts(engine: Engine, retention: Retention) -> None:
    history = engine.history()
    epoch = await fill(history, 3, retention)
    top = Position(epoch, 3)
    assert await history.position(KEY) == top
    assert await history.latest(KEY, 10, 0) == Page(top, [])
    assert await history.since(KEY, top, 10, 0) == Page(top, [])
    assert await history.since(KEY, Position(epoch, 2), 10, 0) == Page(top, None)


async def test_old_publications_are_not_given_back(engine: Engine) -> None:
    history = engine.history()
    retention = Retention(size=100, ttl_s=0.6)
    first = await history.add(KEY, draft("old"), retention)
    await engine.let_pass(0.4)
    await history.add(KEY, draft("young"), retention)
    await engine.let_pass(0.3)
    epoch = first.position.epoch
    assert data_of(await history.latest(KEY, 10, 0)) == ["young"]
    assert data_of(await history.since(KEY, Position(epoch, 1), 10, 0)) == ["young"]
    assert (await history.since(KEY, Position(epoch, 0), 10, 0)).publications is None
    await engine.let_pass(0.5)
    assert data_of(await history.latest(KEY, 10, 0)) == []
    assert (await history.since(KEY, Position(epoch, 1), 10, 0)).publications is None
    assert (await history.since(KEY, Position(epoch, 2), 10, 0)).publications == []
    assert (await history.add(KEY, draft("next"), retention)).position == Position(epoch, 3)


async def test_since_gives_the_first_after_a_position(engine: Engine) -> None:
    history = engine.history()
    epoch = await fill(history, 6)
    assert data_of(await history.since(KEY, Position(epoch, 2), 3, 0)) == [3, 4, 5]
    assert data_of(await history.since(KEY, Position(epoch, 5), 3, 0)) == [6]
    assert data_of(await history.since(KEY, Position(epoch, 6), 3, 0)) == []
    assert data_of(await history.since(KEY, Position(epoch, 0), 0, 0)) == []
    assert (await history.since(KEY, Position(epoch, 0), 3, 0)).position == Position(epoch, 6)


async def test_latest_gives_the_newest_in_order(engine: Engine) -> None:
    history = engine.history()
    await fill(history, 6)
    assert data_of(await history.latest(KEY, 2, 0)) == [5, 6]
    assert data_of(await history.latest(KEY, 0, 0)) == []
    assert data_of(await history.latest(KEY, 100, 0)) == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("offset", [-1, 7, 2**63])
async def test_a_position_that_never_was_is_unrecoverable(engine: Engine, offset: int) -> None:
    history = engine.history()
    epoch = await fill(history, 6)
    assert (await history.since(KEY, Position(epoch, offset), 10, 0)).publications is None


@pytest.mark.parametrize("epoch", ["", "another", "é", "x" * 1000])
async def test_a_position_of_another_epoch_is_unrecoverable(engine: Engine, epoch: str) -> None:
    history = engine.history()
    await fill(history, 6)
    for offset in (0, 3, 6):
        assert (await history.since(KEY, Position(epoch, offset), 10, 0)).publications is None


async def test_lost_data_begin_a_new_epoch(engine: Engine) -> None:
    history = engine.history()
    before = await history.add(KEY, draft("before"), RETENTION)
    await engine.lose_everything()
    after = await history.add(KEY, draft("after"), RETENTION)
    assert after.position.epoch != before.position.epoch
    assert after.position.offset == 1
    page = await history.since(KEY, before.position, 10, 0)
    assert page == Page(after.position, None)
    assert data_of(await history.latest(KEY, 10, 0)) == ["after"]


async def test_tenants_do_not_share_topics(engine: Engine) -> None:
    history = engine.history()
    await history.add(KEY, draft("acme's"), RETENTION)
    other = TopicKey("globex", KEY.topic)
    assert (await history.position(other)).offset == 0
    assert data_of(await history.latest(other, 10, 0)) == []
    await history.add(other, draft("globex's"), RETENTION)
    assert data_of(await history.latest(KEY, 10, 0)) == ["acme's"]


@pytest.mark.parametrize("topic", ["ünï 🚀", "a:b:c", "{}", "*?[x]", "x" * 255])
async def test_any_topic_name_does(engine: Engine, topic: str) -> None:
    history = engine.history()
    key = TopicKey("acme", topic)
    await history.add(key, draft(1), RETENTION)
    page = await history.latest(key, 1, 0)
    assert page.publications is not None
    assert page.publications[0].topic == topic


async def test_a_megabyte_is_stored(engine: Engine) -> None:
    history = engine.history()
    data = "x" * 1024 * 1024
    await history.add(KEY, draft(data), RETENTION)
    assert data_of(await history.latest(KEY, 1, 0)) == [data]


async def test_a_call_given_up_does_not_answer_another(engine: Engine) -> None:
    history = engine.history()
    keys = [TopicKey("acme", f"t{number}") for number in range(20)]
    for key in keys:
        await history.add(key, draft(key.topic), RETENTION)

    async def read(number: int) -> None:
        key = keys[number % len(keys)]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout((number % 7) / 2000):
                assert data_of(await history.latest(key, 1, 0)) == [key.topic]

    for _ in range(5):
        await asyncio.gather(*(read(number) for number in range(60)))
    for key in keys:
        assert data_of(await history.latest(key, 1, 0)) == [key.topic]


async def test_a_repeated_publication_is_stored_once(engine: Engine) -> None:
    history, other_node = engine.history(), engine.history()
    first = await history.add(KEY, draft({"a": 1, "b": 2}, by=ALICE, once="k"), RETENTION)
    await history.add(KEY, draft("between"), RETENTION)
    again = await other_node.add(KEY, draft({"b": 2, "a": 1}, by=ALICE, once="k"), RETENTION)
    assert again.position == first.position
    assert first.publication is not None
    assert again.publication is None
    assert (await history.position(KEY)).offset == 2


async def test_concurrent_repeats_are_stored_once(engine: Engine) -> None:
    history = engine.history()
    added = await asyncio.gather(*(history.add(KEY, draft("x", once="k"), RETENTION) for _ in range(20)))
    assert {each.position.offset for each in added} == {1}
    assert sum(each.publication is not None for each in added) == 1


async def test_a_used_key_with_other_data_is_a_conflict(engine: Engine) -> None:
    history = engine.history()
    await history.add(KEY, draft(1, by=ALICE, once="k"), RETENTION)
    with pytest.raises(RequestError) as caught:
        await history.add(KEY, draft(2, by=ALICE, once="k"), RETENTION)
    assert caught.value.code is ErrorCode.CONFLICT
    assert (await history.position(KEY)).offset == 1


async def test_idempotency_keys_belong_to_publisher_and_topic(engine: Engine) -> None:
    history = engine.history()
    other = TopicKey("acme", "other")
    assert (await history.add(KEY, draft(1, by=ALICE, once="k"), RETENTION)).publication
    assert (await history.add(KEY, draft(2, by=BOB, once="k"), RETENTION)).publication
    assert (await history.add(KEY, draft(3, once="k"), RETENTION)).publication
    assert (await history.add(other, draft(4, by=ALICE, once="k"), RETENTION)).publication
    assert (await history.position(KEY)).offset == 3


async def test_idempotency_keys_expire(engine: Engine) -> None:
    history = engine.history()
    await history.add(KEY, draft(1, once="k"), RETENTION)
    await engine.let_pass(IDEMPOTENCY_TTL_S + 0.1)
    added = await history.add(KEY, draft(2, once="k"), RETENTION)
    assert added.publication is not None
    assert added.position.offset == 2


async def test_data_can_be_replaced_and_the_rest_stays(engine: Engine) -> None:
    history, other_node = engine.history(), engine.history()
    retention = Retention(size=5, ttl_s=300)
    secret, long = "secret", "x" * 1000
    for data in (*range(3), secret, 4, secret):
        await history.add(KEY, draft(data, by=ALICE), retention)
    before = await history.latest(KEY, 10, 0)

    def change(data: bytes) -> bytes | None:
        return msgspec.json.encode(long) if secret.encode() in data else None

    await other_node.rewrite(KEY, change)
    page = await history.latest(KEY, 10, 0)
    assert data_of(page) == [1, 2, long, 4, long]
    assert page.position == before.position
    assert before.publications is not None
    assert page.publications is not None
    kept = [(each.offset, each.publisher, each.time) for each in page.publications]
    assert kept == [(each.offset, each.publisher, each.time) for each in before.publications]
    since = Position(page.position.epoch, 3)
    assert data_of(await other_node.since(KEY, since, 10, 0)) == [long, 4, long]
    # It goes on with the next number, in the same bounds.
    assert (await history.add(KEY, draft("next"), retention)).position.offset == 7
    assert data_of(await history.latest(KEY, 10, 0)) == [2, long, 4, long, "next"]
    await history.rewrite(TopicKey("acme", "never"), change)
    assert (await history.latest(TopicKey("acme", "never"), 10, 0)).publications == []


async def test_replaced_data_counts_with_its_own_size(engine: Engine) -> None:
    history = engine.history(topic_bytes=4000 + 3 * ENTRY_OVERHEAD_BYTES)
    for _ in range(3):
        await history.add(KEY, draft("x" * 1200), RETENTION)
    await history.rewrite(KEY, lambda data: b'"y"')
    for _ in range(2):
        await history.add(KEY, draft("x" * 1200), RETENTION)
    assert len(data_of(await history.latest(KEY, 10, 0))) >= 3
    await history.add(KEY, draft("x" * 1200), RETENTION)
    assert len(data_of(await history.latest(KEY, 10, 0))) == 3
