"""The judge, over records written by hand: each breaks one promise, beside one that keeps it."""

from collections.abc import Sequence

import pytest

from tests.faults.judge import Judgement, broken, judge
from tests.faults.record import (
    Acknowledged,
    Attempted,
    Closed,
    Delivered,
    Event,
    Fault,
    Read,
    Repeated,
    Rest,
    Subscribed,
    Told,
)

TOPIC = "news"


def published(value: int, epoch: str, offset: int) -> list[Event]:
    """A publication that was acknowledged."""
    return [Attempted(0, TOPIC, value), Acknowledged(0, TOPIC, value, epoch, offset)]


def log(epoch: str, *values: int, first: int = 1) -> Read:
    """A server reads these."""
    pairs = tuple(enumerate(values, first))
    return Read("one", epoch, first + len(values) - 1, pairs)


def rest(*reads: Read) -> Rest:
    return Rest(1, {TOPIC: reads})


def client(epoch: str = "e", offset: int = 0) -> Subscribed:
    return Subscribed(0, "c", TOPIC, epoch, offset)


def got(offset: int, value: int, epoch: str | None = None) -> Delivered:
    return Delivered(0, "c", TOPIC, offset, value, epoch)


def recovered(epoch: str, offset: int, *publications: tuple[int, int]) -> Subscribed:
    return Subscribed(0, "c", TOPIC, epoch, offset, True, publications)


def told(epoch: str, offset: int) -> Subscribed:
    return Subscribed(0, "c", TOPIC, epoch, offset, False)


def assert_broken(events: Sequence[Event], *rules: str) -> Judgement:
    judgement = judge(events)
    assert sorted(broken(judgement.verdicts)) == sorted(rules), judgement.verdicts
    return judgement


BEFORE: list[Event] = [client(), *published(1, "e", 1), got(1, 1), *published(2, "e", 2), got(2, 2)]
KILL = Fault(0, "kill", may_lose=True)


def test_all_is_well() -> None:
    found = assert_broken([*BEFORE, rest(log("e", 1, 2))])
    assert (found.delivered, found.acknowledged, found.rests, found.lost) == (2, 2, 1, 0)


def test_an_offset_given_twice() -> None:
    """Do what an engine by `run_id` does after A, B, and A again."""
    events = [*BEFORE, KILL, *published(3, "e", 2), recovered("e", 2), rest(log("e", 1, 3))]
    assert_broken(events, "name", "whole")


def test_a_client_that_has_what_was_lost_and_is_not_told() -> None:
    """Do what a hub that ignores epochs does: 3 comes in place of 2, and is taken for known."""
    events = [*BEFORE, KILL, *published(3, "f", 2), *published(4, "f", 3), got(3, 4)]
    assert_broken([*events, rest(log("f", 1, 3, 4))], "line", "whole")


def test_it_is_found_also_where_the_client_is_told_later() -> None:
    events = [*BEFORE, KILL, *published(3, "f", 2), *published(4, "f", 3), got(3, 4)]
    assert_broken([*events, Told(0, "c", TOPIC), client("f", 3), rest(log("f", 1, 3, 4))], "line")


def of_a_stopped_primary_that_goes_on() -> list[Event]:
    """It stores 3 and 4, which the client gets; 4 was repeated, and has the same offset behind 5 in the log that stays."""
    attempts: list[Event] = [Attempted(0, TOPIC, value) for value in (3, 4)]
    return [*BEFORE[:4], *published(2, "e", 2), got(2, 2), KILL, *attempts, got(3, 3), got(4, 4)]


def test_a_client_of_a_stopped_primary_is_told_although_an_offset_is_the_same() -> None:
    events = [*of_a_stopped_primary_that_goes_on(), Told(0, "c", TOPIC)]
    events += [*published(5, "f", 3), Acknowledged(0, TOPIC, 4, "f", 4), client("f", 4)]
    assert_broken([*events, rest(log("f", 1, 2, 5, 4))])


def test_a_client_of_a_stopped_primary_is_not_told() -> None:
    events = [*of_a_stopped_primary_that_goes_on(), *published(5, "f", 3), Acknowledged(0, TOPIC, 4, "f", 4)]
    assert_broken([*events, rest(log("f", 1, 2, 5, 4))], "line", "whole")


def test_a_client_that_began_at_what_was_lost() -> None:
    events = [*published(1, "e", 1), *published(2, "e", 2), client("e", 2), KILL, *published(3, "f", 2)]
    events += [*published(4, "f", 3), got(3, 4, "f"), rest(log("f", 1, 3, 4))]
    assert_broken(events, "whole")


def test_a_client_that_is_told_of_a_loss() -> None:
    events = [*BEFORE, KILL, *published(3, "f", 2), told("f", 2), rest(log("f", 1, 3))]
    found = assert_broken(events)
    assert (found.lost, found.told) == (1, 1)


def test_a_client_before_the_loss_goes_on() -> None:
    events = [*BEFORE[:4], *published(2, "e", 2), KILL, *published(3, "f", 2), got(2, 3, "f")]
    assert_broken([*events, rest(log("f", 1, 3))])


def test_a_client_before_the_loss_is_told_needlessly() -> None:
    events = [*BEFORE[:4], *published(2, "e", 2), KILL, *published(3, "f", 2), told("f", 2)]
    assert_broken([*events, rest(log("f", 1, 3))], "needless")


def test_what_was_lost_is_sent_again_and_gets_its_offset_again() -> None:
    events = [*BEFORE[:4], Attempted(0, TOPIC, 2), got(2, 2), KILL, Repeated(0, TOPIC, 2)]
    events += [Acknowledged(0, TOPIC, 2, "f", 2), told("f", 2), rest(log("f", 1, 2))]
    assert_broken(events)


def test_a_client_that_began_at_what_was_lost_and_sent_again_is_told() -> None:
    events = [*published(1, "e", 1), *published(2, "e", 2), client("e", 2), KILL, Repeated(0, TOPIC, 2)]
    events += [Acknowledged(0, TOPIC, 2, "f", 2), told("f", 2), rest(log("f", 1, 2))]
    assert_broken(events)


def test_what_was_lost_is_sent_again_by_a_server_and_gets_its_offset_again() -> None:
    events = [*BEFORE[:4], Attempted(0, TOPIC, 2), got(2, 2), KILL, Acknowledged(0, TOPIC, 2, "f", 2)]
    assert_broken([*events, told("f", 2), rest(log("f", 1, 2))])


def test_a_client_is_told_where_nothing_was_lost() -> None:
    failover = Fault(0, "failover")
    events = [*BEFORE, failover, *published(3, "f", 3), Told(0, "c", TOPIC), client("f", 3)]
    assert_broken([*events, rest(log("f", 1, 2, 3))], "needless")


def test_past_retention_a_client_is_told() -> None:
    events: list[Event] = [Attempted(0, TOPIC, 3), client("e", 1), told("e", 3)]
    assert_broken([*events, rest(log("e", 3, first=3))])


def test_everything_is_forgotten() -> None:
    flush = Fault(0, "flush", may_lose=True, may_forget=True)
    events = [*BEFORE, flush, told("f", 0), *published(3, "f", 1), got(1, 3), rest(log("f", 3))]
    assert_broken(events)


def test_a_gap() -> None:
    events = [*BEFORE[:4], *published(2, "e", 2), *published(3, "e", 3), got(3, 3)]
    assert_broken([*events, rest(log("e", 1, 2, 3))], "order")


def test_a_double() -> None:
    assert_broken([*BEFORE, got(2, 2), rest(log("e", 1, 2))], "order")


def test_a_recovery_that_is_not_whole() -> None:
    events = [*BEFORE, *published(3, "e", 3), recovered("e", 3), rest(log("e", 1, 2, 3))]
    assert_broken(events, "order")


def test_a_client_that_does_not_come_back() -> None:
    events = [*BEFORE, Fault(0, "kill", may_lose=True), *published(3, "f", 2), Told(0, "c", TOPIC)]
    assert_broken([*events, Rest(1, {TOPIC: [log("f", 1, 3)]}, ["c"])], "whole")


def test_a_client_that_is_behind() -> None:
    assert_broken([*BEFORE, *published(3, "e", 3), rest(log("e", 1, 2, 3))], "whole")


@pytest.mark.parametrize(("fault", "rules"), [(Fault(0, "failover"), ["lost", "whole"]), (KILL, ["whole"])])
def test_what_was_acknowledged_is_lost(fault: Fault, rules: list[str]) -> None:
    assert_broken([*BEFORE, fault, rest(log("e", 1))], *rules)


def test_a_fault_excuses_until_the_next_rest() -> None:
    events = [*BEFORE, KILL, rest(log("e", 1, 2)), *published(3, "e", 3), rest(log("e", 1, 2))]
    assert_broken(events, "lost")


def test_a_publication_stored_twice() -> None:
    assert_broken([*BEFORE, got(3, 2), rest(log("e", 1, 2, 2))], "double")


def test_servers_that_read_different_logs() -> None:
    assert_broken([*BEFORE, rest(log("e", 1, 2), log("e", 1))], "agree")


def test_servers_that_read_one_after_the_other_while_the_oldest_expire() -> None:
    assert_broken([*BEFORE, rest(log("e", 1, 2), log("e", 2, first=2))])
    assert_broken([*BEFORE, rest(log("e", 1, 2), log("e", 3, first=2))], "agree")


def test_a_history_with_holes() -> None:
    assert_broken([*BEFORE, rest(Read("one", "e", 2, ((2, 2), (1, 1))))], "order")


def test_something_that_was_never_published() -> None:
    assert_broken([client(), got(1, 7), rest(log("e", 7))], "invented")


@pytest.mark.parametrize(
    ("fault", "rules"), [(Fault(0, "kill"), ["closed"]), (Fault(0, "kill", closes=True), [])]
)
def test_a_socket_that_is_closed(fault: Fault, rules: list[str]) -> None:
    assert_broken([fault, Closed(0, "c", 1011)], *rules)
