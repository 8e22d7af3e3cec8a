"""The history of a topic, against a list that forgets nothing."""

from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from realtime.core.history import ENTRY_OVERHEAD_BYTES, Entry, Publication, TopicHistory, fingerprint
from realtime.core.position import Position

STEPS = st.lists(st.tuples(st.floats(0, 4), st.integers(0, 3000)), max_size=60)


def raw(data: Any) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(data))


def publication(offset: int, padding: int = 0) -> Publication:
    return Publication("t", offset, raw("x" * padding), None, "")


def trim(history: TopicHistory, now_s: float) -> None:
    while history.has_excess(now_s):
        history.take_oldest()


def test_a_topic_without_publications_is_at_0() -> None:
    history = TopicHistory("t", "e")
    assert history.position == Position("e", 0)
    assert len(history) == 0
    assert history.since(Position("e", 0), 10, 0) == []
    assert history.since(Position("e", 1), 10, 0) is None
    assert history.latest(10, 0) == []


def test_the_payload_holds_the_data_as_it_was_encoded() -> None:
    made = Publication("t", 1, raw({"b": 1, "a": [1.0, None]}), None, "")
    encoded = msgspec.json.encode(made)
    assert encoded == b'{"topic":"t","offset":1,"data":{"b":1,"a":[1.0,null]},"publisher":null,"time":""}'


def test_a_publication_counts_its_data_and_what_holds_it() -> None:
    assert publication(1, 98).size_bytes == 100 + ENTRY_OVERHEAD_BYTES


@given(
    STEPS,
    st.integers(0, 12),
    st.floats(0, 8),
    st.integers(0, 20_000),
    st.integers(0, 15),
    st.integers(0, 9000),
)
def test_all_or_none_of_what_is_asked(
    steps: list[tuple[float, int]], size: int, ttl_s: float, topic_bytes: int, limit: int, max_bytes: int
) -> None:
    history = TopicHistory("t", "e", max_bytes=topic_bytes)
    history.retain(size=size, ttl_s=ttl_s)
    sizes: dict[int, int] = {}
    data: dict[int, int] = {}
    times_s: list[float] = []
    now_s = 0.0

    def fitting(offsets: list[int]) -> list[int]:
        fit: list[int] = []
        for offset in offsets[:limit]:
            if fit and max_bytes and sum(data[each] for each in (*fit, offset)) > max_bytes:
                break
            fit.append(offset)
        return fit

    for step_s, padding in steps:
        now_s += step_s
        times_s.append(now_s)
        added = publication(len(times_s), padding)
        sizes[added.offset] = added.size_bytes
        data[added.offset] = len(added.data)
        history.add(Entry(added, now_s, 0))
        trim(history, now_s)
        kept = [offset for offset, time_s in enumerate(times_s, 1) if now_s - time_s < ttl_s]
        kept = kept[max(len(kept) - size, 0) :]
        while topic_bytes and sum(sizes[offset] for offset in kept) > topic_bytes:
            kept.pop(0)
        assert history.size_bytes == sum(sizes[offset] for offset in kept)
        top = len(times_s)
        assert [each.offset for each in history.latest(limit, max_bytes)] == fitting(kept[::-1])[::-1]
        for offset in range(-1, top + 2):
            page = history.since(Position("e", offset), limit, max_bytes)
            after = list(range(offset + 1, top + 1))
            is_whole = 0 <= offset <= top and after == [n for n in kept if n > offset]
            expected = fitting(after) if is_whole else None
            assert (page if page is None else [each.offset for each in page]) == expected
        assert history.since(Position("other", top), limit, max_bytes) is None


def test_the_order_of_keys_does_not_tell_data_apart() -> None:
    assert fingerprint(raw({"a": 1, "b": [1, 2]})) == fingerprint(raw({"b": [1, 2], "a": 1}))
    assert fingerprint(msgspec.Raw(b'"\\u00e9"')) == fingerprint(raw("é"))
    different = [None, 0, "0", [], {}, "", 1, 1.5, True, [1, 2], [2, 1], {"a": 1}, {"a": 2}, {"b": 1}]
    assert len({fingerprint(raw(data)) for data in different}) == len(different)
