"""The promises that hold whatever fails, as a pure function over a record.

Between two rests a topic's log is unknown. At a rest the servers say what it is (the line), and everything since the
rest before is compared with it.

- **name**: an epoch and an offset never name two publications.
- **order**: a client gets offsets without gaps, each once, unless it was told of a loss.
- **line**: nothing is delivered behind a publication that does not precede it in the topic's log.
- **whole**: at a rest, a client that was not told has exactly the log, from where it began.
- **needless**: a client is told only if it has what is not in the log, or if the log no longer reaches back.
- **lost**: what was acknowledged is in the log, unless the fault excuses it. **double**: it is there once.
- **invented**: nobody gets what nobody published. **agree**: all servers read the same log.
- **closed**: the fault of a broker closes no sockets.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, NamedTuple

from tests.faults.record import (
    Acknowledged,
    Attempted,
    Closed,
    Delivered,
    Event,
    Fault,
    Over,
    Read,
    Repeated,
    Rest,
    Subscribed,
    Told,
    Topic,
    Value,
)


class Verdict(NamedTuple):
    """A promise that was broken."""

    rule: str
    at_s: float
    text: str

    def __str__(self) -> str:
        return f"{self.rule} at {self.at_s:.2f} s: {self.text}"


@dataclass(slots=True)
class Chain:
    """The publications of a topic that a client got, from its beginning or its last loss on."""

    client: str
    # Where it began: an epoch and an offset.
    began: tuple[str, int]
    epoch: str
    offset: int
    values: dict[int, Value] = field(default_factory=dict)
    # Those that came before they were acknowledged.
    early: set[Value] = field(default_factory=set)
    told_s: float | None = None


@dataclass(slots=True)
class Line:
    """The log of a topic as far as it is known: the offset of its newest, and values by offset."""

    offset: int = 0
    values: dict[int, Value] = field(default_factory=dict)


@dataclass(slots=True)
class TopicState:
    """All that is known of one topic."""

    attempted: set[Value] = field(default_factory=set)
    # Those that may have been carried out twice: repeated by their client, or seen under two epochs.
    repeated: set[Value] = field(default_factory=set)
    epochs: dict[Value, str] = field(default_factory=dict)
    names: dict[tuple[str, int], Value] = field(default_factory=dict)
    line: Line = field(default_factory=Line)
    # Acknowledged, and not yet known to be lost.
    acknowledged: dict[Value, Acknowledged] = field(default_factory=dict)
    chains: dict[str, Chain] = field(default_factory=dict)
    # Those that ended since the last rest, because their client was told.
    ended: list[Chain] = field(default_factory=list)


@dataclass(slots=True)
class Judgement:
    """The result: broken promises, and counts of what may happen."""

    verdicts: list[Verdict] = field(default_factory=list)
    # Publications that were acknowledged, and lost by a fault that excuses it.
    lost: int = 0
    # Clients that were told of a loss, for each topic.
    told: int = 0
    # Answers `recovered: true`.
    recovered: int = 0
    delivered: int = 0
    acknowledged: int = 0
    rests: int = 0


def judge(events: Iterable[Event]) -> Judgement:
    """Go through a record, in the order in which it happened."""
    court = _Court()
    for event in events:
        court.hear(event)
    return court.judgement


class _Court:
    def __init__(self) -> None:
        self.judgement = Judgement()
        self._topics: dict[Topic, TopicState] = {}
        self._faults: list[Fault] = []

    def hear(self, event: Event) -> None:
        takes: Mapping[type, Callable[[Any], None]] = {
            Attempted: self._attempted,
            Repeated: lambda event: self._state(event.topic).repeated.add(event.value),
            Acknowledged: self._acknowledged,
            Subscribed: self._subscribed,
            Delivered: self._delivered,
            Told: lambda told: self._told(self._state(told.topic), told.client, told.at_s),
            Closed: self._closed,
            Fault: self._faults.append,
            Over: lambda _: None,
            Rest: self._rest,
        }
        takes[type(event)](event)

    def _state(self, topic: Topic) -> TopicState:
        return self._topics.setdefault(topic, TopicState())

    def _convict(self, rule: str, at_s: float, text: str) -> None:
        self.judgement.verdicts.append(Verdict(rule, at_s, text))

    def _attempted(self, event: Attempted) -> None:
        self._state(event.topic).attempted.add(event.value)

    def _closed(self, event: Closed) -> None:
        if not any(fault.closes for fault in self._faults):
            self._convict("closed", event.at_s, f"{event.client}: {event.code}")

    def _acknowledged(self, event: Acknowledged) -> None:
        state = self._state(event.topic)
        self.judgement.acknowledged += 1
        state.acknowledged[event.value] = event
        _note_epoch(state, event.value, event.epoch)
        self._name(event.at_s, event.topic, event.epoch, event.offset, event.value)

    def _name(self, at_s: float, topic: Topic, epoch: str, offset: int, value: Value) -> None:
        state = self._state(topic)
        known = state.names.setdefault((epoch, offset), value)
        if known != value:
            self._convict("name", at_s, f"{topic}: {epoch} {offset} is {known} and {value}")
        if value not in state.attempted:
            self._convict("invented", at_s, f"{topic}: {value} as {epoch} {offset}")

    def _subscribed(self, event: Subscribed) -> None:
        state = self._state(event.topic)
        chain = state.chains.get(event.client)
        if event.recovered is False:
            self._told(state, event.client, event.at_s)
        if event.recovered is not True or chain is None:
            began = (event.epoch, event.offset)
            state.chains[event.client] = Chain(event.client, began, event.epoch, event.offset)
            return
        self.judgement.recovered += 1
        chain.epoch = event.epoch
        for offset, value in event.publications:
            self._take(event.at_s, event.topic, chain, offset, value)
        if chain.offset != event.offset:
            text = f"{event.topic}: {event.client} recovered to {chain.offset}, was told {event.offset}"
            self._convict("order", event.at_s, text)
            chain.offset = event.offset

    def _delivered(self, event: Delivered) -> None:
        self.judgement.delivered += 1
        chain = self._state(event.topic).chains.get(event.client)
        if chain is None:
            text = f"{event.topic}: {event.client} got {event.offset} without a subscription"
            self._convict("order", event.at_s, text)
            return
        chain.epoch = event.epoch or chain.epoch
        _note_epoch(self._state(event.topic), event.value, chain.epoch)
        self._take(event.at_s, event.topic, chain, event.offset, event.value)

    def _take(self, at_s: float, topic: Topic, chain: Chain, offset: int, value: Value) -> None:
        if offset != chain.offset + 1:
            self._convict("order", at_s, f"{topic}: {chain.client} got {offset} after {chain.offset}")
        chain.offset = offset
        chain.values[offset] = value
        if value not in self._state(topic).acknowledged:
            chain.early.add(value)
        self._name(at_s, topic, chain.epoch, offset, value)

    def _told(self, state: TopicState, client: str, at_s: float) -> None:
        chain = state.chains.pop(client, None)
        if chain is not None:
            self.judgement.told += 1
            chain.told_s = at_s
            state.ended.append(chain)

    def _rest(self, rest: Rest) -> None:
        self.judgement.rests += 1
        for topic, reads in rest.reads.items():
            state = self._state(topic)
            self._agree(rest.at_s, topic, reads)
            state.line = _extended(state.line, reads[0])
            for offset, value in reads[0].publications:
                self._name(rest.at_s, topic, reads[0].epoch, offset, value)
            self._no_double(rest.at_s, topic, state)
            self._nothing_lost(rest.at_s, topic, state)
            self._whole(rest.at_s, topic, state)
            for client in set(rest.clients) - state.chains.keys():
                self._convict("whole", rest.at_s, f"{topic}: {client} is not subscribed")
            self._justified(topic, state)
            state.ended.clear()
        self._faults.clear()

    def _agree(self, at_s: float, topic: Topic, reads: Sequence[Read]) -> None:
        for one, other in pairwise(reads):
            if (one.epoch, one.offset) != (other.epoch, other.offset) or not _agree_on_newest(one, other):
                text = f"{topic}: {_told_by(one)}, {_told_by(other)}"
                self._convict("agree", at_s, text)
        offsets = [offset for offset, _ in reads[0].publications]
        if offsets and offsets != list(range(offsets[0], reads[0].offset + 1)):
            self._convict("order", at_s, f"{topic}: a history with holes: {offsets}")

    def _no_double(self, at_s: float, topic: Topic, state: TopicState) -> None:
        values = list(state.line.values.values())
        if len(values) != len(set(values)):
            twice = sorted({value for value in values if values.count(value) > 1})
            self._convict("double", at_s, f"{topic}: {twice}")

    def _nothing_lost(self, at_s: float, topic: Topic, state: TopicState) -> None:
        is_excused = any(fault.may_lose or fault.may_forget for fault in self._faults)
        for value, event in list(state.acknowledged.items()):
            if not _is_lost(state.line, event.offset, value):
                continue
            del state.acknowledged[value]
            self.judgement.lost += 1
            if not is_excused:
                text = f"{topic}: {value}, acknowledged as {event.epoch} {event.offset} at {event.at_s:.2f} s"
                self._convict("lost", at_s, text)

    def _whole(self, at_s: float, topic: Topic, state: TopicState) -> None:
        for chain in [*state.ended, *state.chains.values()]:
            if (offset := _off_the_line(chain, state.line)) is not None:
                text = f"{topic}: {chain.client} got {offset} after a publication that does not precede it"
                self._convict("line", at_s, text)
        for chain in state.chains.values():
            if chain.offset != state.line.offset or _is_off(chain, state):
                text = f"{topic}: {chain.client} began at {chain.began}, is at {chain.epoch} {chain.offset}, "
                text += f"the log at {state.line.offset}; not in it: {_foreign(chain, state.line)}"
                self._convict("whole", at_s, text)

    def _justified(self, topic: Topic, state: TopicState) -> None:
        may_forget = any(fault.may_forget for fault in self._faults)
        may_lose = any(fault.may_lose for fault in self._faults)
        for chain in state.ended:
            # Nobody but this client knows of its position: it may have been among what was lost. So may have been what
            # was sent again, although it has the same offset as before.
            began = state.names.get(chain.began)
            is_unknown = (not chain.values and began is None) or began in state.repeated
            is_unknown = is_unknown or not state.repeated.isdisjoint(chain.values.values())
            is_excused = may_forget or (may_lose and is_unknown)
            if is_excused or _is_beyond(chain, state.line) or _is_off(chain, state):
                continue
            assert chain.told_s is not None
            text = f"{topic}: {chain.client} at {chain.epoch} {chain.offset} had all there was"
            self._convict("needless", chain.told_s, text)


def _extended(line: Line, read: Read) -> Line:
    """The log at a rest: what is read now, and before it what was read earlier."""
    first = read.publications[0][0] if read.publications else read.offset + 1
    older = {offset: value for offset, value in line.values.items() if offset < first}
    return Line(read.offset, older | dict(read.publications))


def _note_epoch(state: TopicState, value: Value, epoch: str) -> None:
    """A server repeats by itself what has a key, if it does not know the outcome."""
    if state.epochs.setdefault(value, epoch) != epoch:
        state.repeated.add(value)


def _agree_on_newest(one: Read, other: Read) -> bool:
    """Whether one holds what the other holds; the oldest may have expired between the two reads."""
    count = min(len(one.publications), len(other.publications))
    return count == 0 or one.publications[-count:] == other.publications[-count:]


def _is_lost(line: Line, offset: int, value: Value) -> bool:
    return offset > line.offset or line.values.get(offset, value) != value


def _foreign(chain: Chain, line: Line) -> list[Value]:
    return [value for offset, value in chain.values.items() if line.values.get(offset, value) != value]


def _is_beyond(chain: Chain, line: Line) -> bool:
    """Whether the log ends before the client's position, or begins after it."""
    oldest = min(line.values, default=line.offset + 1)
    return not oldest - 1 <= chain.offset <= line.offset


def _is_off(chain: Chain, state: TopicState) -> bool:
    """Whether the log does not have all that the client has, and the publication after which it began."""
    value, (_, offset) = state.names.get(chain.began), chain.began
    is_other = value is not None and state.line.values.get(offset, value) != value
    return is_other or bool(_foreign(chain, state.line))


def _off_the_line(chain: Chain, line: Line) -> int | None:
    """The first offset that is in the log, and was delivered behind one that is not.

    A stopped primary that goes on may carry out what other servers have repeated elsewhere, and the repeated publication
    may get the same offset in both logs. A client that got it before its acknowledgement, and was told of the loss, may
    have it from the log that is lost.
    """
    for offset, value in chain.values.items():
        before = chain.values.get(offset - 1)
        is_in = line.values.get(offset) == value and not (chain.told_s is not None and value in chain.early)
        if is_in and before is not None and line.values.get(offset - 1, before) != before:
            return offset
    return None


def _told_by(read: Read) -> str:
    return f"{read.server} reads {read.epoch} {read.offset} with {len(read.publications)}"


def broken(verdicts: Iterable[Verdict]) -> Iterator[str]:
    """The rules that were broken, each once."""
    yield from dict.fromkeys(verdict.rule for verdict in verdicts)
