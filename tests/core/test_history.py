"""The history of a topic, against a list that forgets nothing."""

from hypothesis import given
from hypothesis import strategies as st

from realtime.core.history import Position, Publication, TopicHistory, fingerprint

STEPS = st.lists(st.floats(0, 4), max_size=60)


def publication(offset: int) -> Publication:
    return Publication("t", offset, {"n": offset}, None, "")


def test_a_topic_without_publications_is_at_0() -> None:
    history = TopicHistory("e")
    assert history.position == Position("e", 0)
    assert history.is_empty
    assert history.since(Position("e", 0), 10, 0) == []
    assert history.since(Position("e", 1), 10, 0) is None
    assert history.latest(10, 0) == []


def test_a_publication_of_an_anonymous_publisher_says_null() -> None:
    assert publication(1).payload() == {
        "topic": "t",
        "offset": 1,
        "data": {"n": 1},
        "publisher": None,
        "time": "",
    }


@given(STEPS, st.integers(0, 12), st.floats(0, 8), st.integers(0, 15))
def test_all_or_none_of_what_is_asked(steps_s: list[float], size: int, ttl_s: float, limit: int) -> None:
    history = TopicHistory("e")
    history.retain(size=size, ttl_s=ttl_s)
    times_s: list[float] = []
    now_s = 0.0
    for step_s in steps_s:
        now_s += step_s
        times_s.append(now_s)
        history.add(publication(len(times_s)), now_s)
        kept = [offset for offset, time_s in enumerate(times_s, 1) if now_s - time_s < ttl_s]
        kept = kept[max(len(kept) - size, 0) :]
        top = len(times_s)
        newest = kept[max(len(kept) - limit, 0) :]
        assert [each.offset for each in history.latest(limit, now_s)] == newest
        for offset in range(-1, top + 2):
            page = history.since(Position("e", offset), limit, now_s)
            is_whole = 0 <= offset <= top and list(range(offset + 1, top + 1)) == [
                n for n in kept if n > offset
            ]
            expected = list(range(offset + 1, top + 1))[:limit] if is_whole else None
            assert (page if page is None else [each.offset for each in page]) == expected
        assert history.since(Position("other", top), limit, now_s) is None


def test_the_order_of_keys_does_not_tell_data_apart() -> None:
    assert fingerprint({"a": 1, "b": [1, 2]}) == fingerprint({"b": [1, 2], "a": 1})
    different = [None, 0, "0", [], {}, "", 1, 1.5, True, [1, 2], [2, 1], {"a": 1}, {"a": 2}, {"b": 1}]
    assert len({fingerprint(data) for data in different}) == len(different)
