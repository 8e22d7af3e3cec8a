"""The stored and carried form of a publication: a broker stores and sends it in one step."""

import random
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime.core.history import ENTRY_OVERHEAD_BYTES, Publication, Publisher
from realtime.core.position import Position
from realtime.core.topics import Retention, TopicKey
from realtime.protocol.codec import encode_bytes
from realtime.protocol.errors import RequestError
from realtime.topics.engine.broker_bus import BrokerBus
from realtime.topics.engine.carried import (
    Carried,
    decode_body,
    decode_carried,
    encode_body,
    encode_carried,
    payload_of,
)
from realtime.topics.engine.drafts import make_draft
from realtime.topics.engine.names import group_name
from realtime.topics.engine.redis_history import RedisHistory
from tests.engine.conftest import Node, RedisEngine

KEY = TopicKey("acme", "news")
RETENTION = Retention(100, 300)


@given(
    topic=st.text(st.characters(codec="utf-8"), min_size=1, max_size=20),
    data=st.text(st.characters(codec="utf-8")) | st.integers(0, 9) | st.none(),
    publisher=st.none()
    | st.builds(Publisher, st.integers(1, 9) | st.just("7"), st.text(st.characters(codec="utf-8"))),
    offset=st.integers(1, 2**50),
)
def test_a_body_becomes_the_same_publication_and_payload(
    topic: str, data: object, publisher: Publisher | None, offset: int
) -> None:
    draft = make_draft(topic, data, publisher, time="2026-01-01T00:00:00Z")
    body = encode_body(draft)
    publication = Publication(topic, offset, draft.data, publisher, draft.time)
    assert payload_of(topic, offset, body) == encode_bytes(publication)
    assert decode_body(topic, offset, body) == publication
    carried = Carried(Position("e1", offset), body)
    assert decode_carried(encode_carried(carried)) == carried


@pytest.fixture
async def engine(valkey_url: str) -> AsyncIterator[RedisEngine]:
    made = RedisEngine(valkey_url)
    yield made
    await made.close()


@pytest.mark.redis
async def test_what_is_added_is_carried_with_the_same_call(engine: RedisEngine) -> None:
    node = Node(engine.bus())
    await node.bus.start(node.receive)
    await node.bus.join(group_name(KEY))
    history = engine.history()
    expected = []
    for number in range(3):
        draft = make_draft("news", number, time="", idempotency_key=f"k{number}")
        added = await history.add(KEY, draft, RETENTION)
        expected.append((group_name(KEY), encode_carried(Carried(added.position, encode_body(draft)))))
    # Neither is a publication.
    await history.add(KEY, draft, RETENTION)
    with pytest.raises(RequestError):
        await history.add(KEY, make_draft("news", "other", time="", idempotency_key="k1"), RETENTION)
    await history.add(TopicKey("globex", "news"), make_draft("news", 1, time=""), RETENTION)
    last = await history.add(KEY, make_draft("news", "last", time=""), Retention(0, 0))
    received = await node.receives(4)
    assert received[:3] == expected
    carried = decode_carried(received[3][1])
    assert carried is not None
    assert carried.position == last.position
    await node.bus.stop()


@pytest.mark.redis
async def test_the_history_of_a_process_does_not_hear_itself(engine: RedisEngine) -> None:
    broker = engine.broker()
    node = Node(BrokerBus(broker))
    await node.bus.start(node.receive)
    await node.bus.join(group_name(KEY))
    await RedisHistory(broker).add(KEY, make_draft("news", 1, time=""), RETENTION)
    await node.bus.send(group_name(KEY), b"last", to_self=True)
    assert await node.receives(1) == [(group_name(KEY), b"last")]
    await node.bus.stop()


@pytest.mark.redis
@pytest.mark.parametrize("seed", range(4))
async def test_bounds_hold_whether_bytes_are_counted_or_not(engine: RedisEngine, seed: int) -> None:
    """Small publications are not counted; large ones come between them, and rules and bounds change."""
    chance = random.Random(seed)
    bounds = [12 * (100 + ENTRY_OVERHEAD_BYTES), 5 * (100 + ENTRY_OVERHEAD_BYTES), 0]
    histories = [engine.history(topic_bytes=bound) for bound in bounds]
    which, size = 0, 10
    model: list[int] = []
    sizes: dict[int, int] = {}
    for _ in range(250):
        if chance.random() < 0.05:
            which = chance.randrange(3)
        if chance.random() < 0.05:
            size = chance.choice([0, 3, 10, 40])
        text = "x" * chance.choice([10, 10, 10, 10, 100, 1500, 9000])
        draft = make_draft("news", text, time="")
        added = await histories[which].add(KEY, draft, Retention(size, 300))
        offset = added.position.offset
        sizes[offset] = len(draft.data) + ENTRY_OVERHEAD_BYTES
        model.append(offset)
        if not size:
            model.clear()
        while len(model) > size or (bounds[which] and sum(map(sizes.__getitem__, model)) > bounds[which]):
            model.pop(0)
        if chance.random() < 0.1:
            await histories[which].rewrite(KEY, lambda data: b"0" if len(data) > 1000 else None)
            sizes = {
                at: each if each <= 1000 + ENTRY_OVERHEAD_BYTES else 1 + ENTRY_OVERHEAD_BYTES
                for at, each in sizes.items()
            }
        page = await histories[which].latest(KEY, 1000, 0)
        assert [each.offset for each in page.publications or []] == model
