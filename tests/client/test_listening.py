"""The position of a listener: every publication once and in order."""

from hypothesis import given, settings
from hypothesis import strategies as st

from realtime.client.listening import HELD_MAX, Listener, Outcome, Subscribed, oldest
from realtime.client.types import Publication
from realtime.core.position import Position


def publication(offset: int, epoch: str | None = None) -> Publication:
    return Publication("t", offset, offset, epoch=epoch)


def reply(offset: int, *missed: int, epoch: str = "e") -> Subscribed:
    return Subscribed("t", epoch, offset, publications=[publication(each) for each in missed])


def live(offset: int, *, recover: bool = True) -> tuple[Listener, list[int]]:
    applied: list[int] = []

    def put(each: Publication) -> bool:
        applied.append(each.offset)
        return True

    listener = Listener(put, recover=recover)
    assert listener.accept(reply(offset), recovered=None)
    return listener, applied


def test_it_starts_at_the_servers_offset_and_takes_what_follows_once() -> None:
    listener, applied = live(4)
    outcomes = [listener.take(publication(each)) for each in (5, 5, 4, 6, 8)]
    assert outcomes == [Outcome.APPLIED, Outcome.DUPLICATE, Outcome.DUPLICATE, Outcome.APPLIED, Outcome.GAP]
    assert (applied, listener.position) == ([5, 6], Position("e", 6))


def test_what_was_missed_comes_before_what_was_pushed_meanwhile() -> None:
    listener, applied = live(4)
    listener.hold()
    assert listener.take(publication(7)) is Outcome.HELD
    assert listener.take(publication(8)) is Outcome.HELD
    assert listener.accept(reply(7, 5, 6, 7), recovered=True)
    assert applied == [5, 6, 7, 8]


def test_where_the_past_cannot_be_complete_it_goes_on_from_the_servers_offset() -> None:
    listener, applied = live(4)
    listener.hold()
    assert listener.accept(reply(2, epoch="other"), recovered=False)
    listener.take(publication(3))
    assert (applied, listener.position) == ([3], Position("other", 3))


def test_a_gap_among_what_was_held_is_told() -> None:
    listener, applied = live(4)
    listener.hold()
    listener.take(publication(7))
    assert not listener.accept(reply(5, 5), recovered=True)
    assert (applied, listener.position) == ([5], Position("e", 5))


def test_what_is_held_is_bounded_and_the_rest_is_asked_for() -> None:
    listener, applied = live(0)
    listener.hold()
    for offset in range(1, HELD_MAX + 10):
        listener.take(publication(offset))
    assert not listener.accept(reply(0), recovered=True)
    assert (len(applied), listener.offset) == (HELD_MAX, HELD_MAX)


def test_without_history_there_are_no_gaps() -> None:
    listener, applied = live(0, recover=False)
    assert listener.position is None
    listener.take(publication(3))
    listener.hold()
    listener.take(publication(4))
    listener.accept(reply(4), recovered=None)
    assert applied == [3, 4]


def test_a_listener_without_room_takes_nothing_more_until_it_is_held_again() -> None:
    room = [1, 2]
    taken: list[int] = []

    def put(each: Publication) -> bool:
        if not room:
            return False
        room.pop()
        taken.append(each.offset)
        return True

    listener = Listener(put, since=Position("e", 0))
    assert listener.accept(reply(4, 1, 2, 3, 4), recovered=True)
    assert (taken, listener.position, listener.is_paused) == ([1, 2], Position("e", 2), True)
    assert listener.take(publication(5)) is Outcome.FULL
    room += [1, 2, 3]
    listener.hold()
    assert listener.accept(reply(5, 3, 4, 5), recovered=True)
    assert taken == [1, 2, 3, 4, 5]


def test_it_goes_on_in_the_epoch_that_a_publication_names() -> None:
    listener, _ = live(4)
    listener.take(publication(5, epoch="f"))
    listener.take(publication(6))
    assert listener.position == Position("f", 6)


def test_the_oldest_position_is_asked_for() -> None:
    def at(epoch: str, offset: int) -> Listener:
        return Listener(lambda _: True, since=Position(epoch, offset))

    assert oldest([]) is None
    assert oldest([Listener(lambda _: True)]) is None
    assert oldest([at("e", 7), at("e", 3), at("f", 1)]) == Position("e", 3)


@settings(deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5), st.booleans()), max_size=60))
def test_whatever_is_lost_or_repeated_every_publication_comes_once_and_in_order(
    steps: list[tuple[bool, int, bool]],
) -> None:
    listener, applied = live(0)
    top = 0
    for is_new, back, is_lost in steps:
        top += is_new
        offset = max(1, top - back)
        if top and not is_lost and listener.take(publication(offset)) is Outcome.GAP:
            _recover(listener, top)
    _recover(listener, top)
    assert applied == list(range(1, top + 1))


def _recover(listener: Listener, top: int) -> None:
    listener.hold()
    if top:
        listener.take(publication(top))
    listener.accept(reply(top, *range(listener.offset + 1, top + 1)), recovered=True)
