"""The judge on small records: each promise kept, and broken."""

from typing import Any

import pytest

from tests.simulation.judge import judge
from tests.simulation.record import Begun, Checkpoint, Entry, Mark, Message, Record, Right, Session, Stored

KEY = ("acme", "news")
EPOCH = "e"


class Story:
    """A record of one client, told line by line; a second of time for each."""

    def __init__(self) -> None:
        self.record = Record(truth={KEY: {(EPOCH, offset): offset for offset in range(1, 10)}})
        self.session = self.new_session("c0.1", 1)

    def new_session(self, name: str, user: int) -> Session:
        session = Session(name, "n1", "acme", user)
        self.record.sessions.append(session)
        return session

    def line(self) -> int:
        order = self.record.order
        self.record.entries.append(Entry(float(order), "", "", ()))
        return order

    def asks(self, request_id: int, kind: str, **payload: Any) -> None:
        order = self.line()
        payload = {"topic": "news", **payload}
        self.session.messages.append(Message(order, float(order), True, -1, request_id, kind, payload))

    def gets(self, request_id: int | None, kind: str, **payload: Any) -> None:
        order = self.line()
        index = sum(not each.is_sent for each in self.session.messages)
        payload = {"topic": "news", **payload}
        self.session.messages.append(Message(order, float(order), False, index, request_id, kind, payload))

    def subscribes(self, offset: int = 0, *, recovered: bool | None = None, **more: Any) -> None:
        recover = {"recover": {"epoch": EPOCH, "offset": more.pop("since")}} if "since" in more else {}
        self.asks(1, "subscribe", **recover)
        answer = {"epoch": EPOCH, "offset": offset, "recovered": recovered, "publications": [], **more}
        self.gets(1, "subscribed", **answer)

    def is_given(self, *offsets: int) -> None:
        for offset in offsets:
            self.gets(None, "publication", offset=offset, data=offset)

    def ends(self, code: int) -> None:
        self.session.ended_order = self.line()
        self.session.ended_s = float(self.session.ended_order)
        self.session.close_code = code

    def rests(self, offset: int, present: dict[int | str, int]) -> None:
        order = self.line()
        presence = {"n1": {KEY: present} if present else {}}
        self.record.checkpoints.append(
            Checkpoint("now", order, float(order), {KEY: Stored(EPOCH, offset)}, presence)
        )

    def rules(self) -> list[str]:
        return [violation.rule for violation in judge(self.record)]


@pytest.fixture
def story() -> Story:
    return Story()


def test_a_whole_story_is_well(story: Story) -> None:
    story.subscribes(2)
    story.is_given(3, 4)
    story.rests(4, {1: 1})
    story.gets(None, "unsubscribed", code="unrecoverable_position")
    assert story.rules() == []


@pytest.mark.parametrize("offsets", [(3, 5), (3, 3), (4, 3)])
def test_gaps_doubles_and_reorders_are_seen(story: Story, offsets: tuple[int, int]) -> None:
    story.subscribes(2)
    story.is_given(*offsets)
    assert "order" in story.rules()


def test_a_publication_without_a_subscription_is_seen(story: Story) -> None:
    story.is_given(1)
    assert story.rules() == ["order"]


def test_what_was_never_published_is_seen(story: Story) -> None:
    story.subscribes(2)
    story.gets(None, "publication", offset=3, data="something else")
    assert story.rules() == ["order"]


@pytest.mark.parametrize(
    ("recovered", "offsets"), [(True, (2,)), (True, (1, 3)), (False, (1, 2)), (None, ())]
)
def test_a_recovery_that_is_not_whole_is_seen(
    story: Story, recovered: bool | None, offsets: tuple[int, ...]
) -> None:
    publications = [{"topic": "news", "offset": offset, "data": offset} for offset in offsets]
    story.subscribes(2, recovered=recovered, since=0, publications=publications)
    assert story.rules() == ["order"]


def test_a_client_that_was_told_may_miss_something(story: Story) -> None:
    story.subscribes(2, recovered=False, since=0)
    story.is_given(3)
    assert story.rules() == []


def test_a_client_that_is_silently_behind_is_seen(story: Story) -> None:
    story.subscribes(2)
    story.rests(3, {1: 1})
    assert story.rules() == ["behind"]


@pytest.mark.parametrize("present", [{}, {1: 2}, {1: 1, 2: 1}])
def test_presence_that_is_not_the_truth_is_seen(story: Story, present: dict[int | str, int]) -> None:
    story.subscribes(2)
    story.rests(2, present)
    assert story.rules() == ["presence"]


def test_a_client_that_was_told_something_else_of_presence_is_seen(story: Story) -> None:
    story.subscribes(2, presence={"users": [{"id": 1}], "count": 1})
    story.gets(None, "presence", joined=[{"id": 2}], left=[])
    story.rests(2, {1: 1})
    assert story.rules() == ["presence"]


def test_nothing_comes_after_rights_were_taken(story: Story) -> None:
    story.subscribes(2)
    taken = story.line()
    story.record.rights.append(Right(taken, *("acme", 1, "news"), False))
    story.session.marks.append(Mark(taken, 1, "news", taken, "removal"))
    story.is_given(3)
    assert story.rules() == ["rights"]


def test_rights_may_be_given_again(story: Story) -> None:
    story.subscribes(2)
    taken, given = story.line(), story.line()
    story.session.marks.append(Mark(taken, 1, "news", taken, "removal"))
    story.record.rights.append(Right(given, *("acme", 1, "news"), True))
    story.is_given(3)
    assert story.rules() == []


def test_what_was_sent_before_rights_were_taken_may_still_arrive(story: Story) -> None:
    story.subscribes(2)
    story.session.marks.append(Mark(story.line(), 2, "news", 0, "removal"))
    story.is_given(3)
    assert story.rules() == []


@pytest.mark.parametrize(("code", "rules"), [(1006, ["grace"]), (4403, [])])
def test_a_user_whose_socket_broke_stays_for_the_grace(story: Story, code: int, rules: list[str]) -> None:
    story.record.grace_s = 10.0
    story.subscribes(2)
    watching = story.session
    leaving = story.session = story.new_session("c1.1", 2)
    story.subscribes(2)
    story.ends(code)
    story.session = watching
    story.gets(None, "presence", joined=[], left=[{"id": 2}])
    assert leaving.ended_s is not None
    assert story.rules() == rules


def test_what_is_left_behind_and_what_failed_is_told(story: Story) -> None:
    story.record.leftovers.append("n1: topics")
    story.record.failures.append("n1: a task failed")
    assert story.rules() == ["left behind", "failure"]


@pytest.fixture
def forked(story: Story) -> Story:
    """The epoch `f` goes on where `e` ended: at 5. The later publications of `e` are lost."""
    story.record.has_forks, story.record.kept = True, 50
    story.record.truth[KEY] |= {("f", offset): 10 * offset for offset in (6, 7)}
    story.record.begun[KEY] = {EPOCH: Begun(1, None), "f": Begun(6, Stored(EPOCH, 5))}
    return story


def test_a_new_epoch_that_lost_nothing(forked: Story) -> None:
    forked.subscribes(4)
    forked.is_given(5)
    forked.gets(None, "publication", offset=6, data=60, epoch="f")
    forked.gets(None, "publication", offset=7, data=70)
    assert forked.rules() == []


def test_a_new_epoch_after_what_it_lost_is_seen(forked: Story) -> None:
    forked.subscribes(5)
    forked.is_given(6)
    forked.gets(None, "publication", offset=7, data=70, epoch="f")
    assert forked.rules() == ["order"]


def test_a_new_epoch_that_is_not_named_is_seen(forked: Story) -> None:
    forked.subscribes(5)
    forked.gets(None, "publication", offset=6, data=60)
    assert forked.rules() == ["order"]


@pytest.mark.parametrize(("since", "rules"), [(4, []), (5, []), (6, ["order"])])
def test_recovery_through_a_fork(since: int, rules: list[str], forked: Story) -> None:
    data = {4: 4, 5: 5, 6: 60, 7: 70}
    forked.asks(1, "subscribe", recover={"epoch": EPOCH, "offset": since})
    missed = [
        {"topic": "news", "offset": offset, "data": value} for offset, value in data.items() if offset > since
    ]
    answer = {"epoch": "f", "offset": 7, "recovered": True, "publications": missed}
    forked.gets(1, "subscribed", **answer)
    assert forked.rules() == rules


@pytest.mark.parametrize(("at", "rules"), [(5, ["needless"]), (6, [])])
def test_a_needless_reload_is_seen(at: int, rules: list[str], forked: Story) -> None:
    forked.subscribes(at)
    forked.gets(None, "unsubscribed", code="unrecoverable_position")
    forked.rests(7, {})
    forked.record.checkpoints[-1].positions[KEY] = Stored("f", 7)
    assert forked.rules() == rules
