"""What must hold in every world, as pure functions over its record. One function a promise."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from tests.simulation.lines import NOTHING, leads_to, value_at
from tests.simulation.record import Checkpoint, Key, Mark, Message, Record, Session, Stored, Topic

# The close codes whose users are told to be gone at once.
GONE_AT_ONCE = frozenset({4401, 4403, 4409})
# The codes of an `unsubscribed` that takes a right away.
DENIALS = frozenset({"permission_denied", "unauthenticated", "not_found"})
# The code of an `unsubscribed` that tells of a lost history.
LOST = "unrecoverable_position"
# Times are added up in floating point.
SLACK_S = 0.001


class Violation(NamedTuple):
    """A promise that was broken."""

    rule: str
    at_s: float
    order: int
    text: str

    def __str__(self) -> str:
        return f"{self.rule} at {self.at_s:.4f} s (line {self.order}): {self.text}"


@dataclass(slots=True)
class Followed:
    """What a client believes of a topic it subscribed to."""

    position: Stored
    # Who is there, as far as it was told; None where it did not ask.
    present: set[int] | None = None
    # An answer left open what the server does now.
    is_uncertain: bool = False


@dataclass(slots=True)
class View:
    """One session as its client sees it, and what was wrong in it."""

    session: Session
    topics: dict[Topic, Followed] = field(default_factory=dict)
    # When its subscriptions began and ended, and whether the user is gone at once by that end.
    spans: list["Span"] = field(default_factory=list)
    violations: list[Violation] = field(default_factory=list)
    # When it was told of a loss, and where it was.
    told: list[tuple[Message, Topic, Stored]] = field(default_factory=list)


@dataclass(slots=True)
class Span:
    """A subscription in time, as its client was told of it."""

    key: Key
    user: int | None
    began_s: float
    # Its client read slowly, and saw its end later than it was.
    is_vague: bool = False
    ended_s: float | None = None
    is_gone_at_once: bool = False


def judge(record: Record) -> list[Violation]:
    """All that was broken, in the order of its happening."""
    views = [fold(record, session, None) for session in record.sessions]
    found = [violation for view in views for violation in view.violations]
    for session in record.sessions:
        found += nothing_after_rights_were_taken(record, session)
    for checkpoint in record.checkpoints:
        at_rest = [fold(record, each, checkpoint.order) for each in record.sessions]
        open_views = [view for view in at_rest if _is_open(view.session, checkpoint)]
        found += nobody_is_behind(record, checkpoint, open_views)
        found += presence_is_the_truth(checkpoint, open_views)
    found += nobody_reloads_needlessly(record, views)
    found += grace_is_kept(record, [span for view in views for span in view.spans])
    last_s = record.entries[-1].at_s if record.entries else 0.0
    found += [Violation("left behind", last_s, record.order, text) for text in record.leftovers]
    found += [Violation("failure", last_s, record.order, text) for text in record.failures]
    return sorted(found, key=lambda violation: violation.order)


# Order: no gap, double or reorder that the client was not told of; nothing that was not published.


def fold(record: Record, session: Session, until: int | None) -> View:
    """Go through what a client sent and got, as far as line `until`."""
    view = View(session)
    asked: dict[int, Message] = {}
    for message in session.messages:
        if until is not None and message.order >= until:
            break
        if message.is_sent:
            assert message.id is not None
            asked[message.id] = message
        else:
            _take(record, view, message, asked)
    _close_spans(view, session, until)
    return view


def _close_spans(view: View, session: Session, until: int | None) -> None:
    if session.ended_s is not None and (until is None or (session.ended_order or 0) < until):
        for topic in list(view.topics):
            _end(view, topic, session.ended_s, is_gone_at_once=session.close_code in GONE_AT_ONCE)
    for span in view.spans:
        span.is_vague = session.was_paused


def _take(record: Record, view: View, message: Message, asked: dict[int, Message]) -> None:
    if message.id is None:
        _take_push(record, view, message)
    elif (request := asked.get(message.id)) is None:
        _violate(view, "order", message, f"a reply to nothing that was asked: {message.id}")
    else:
        _take_reply(record, view, message, request)


def _take_push(record: Record, view: View, message: Message) -> None:
    match message.type:
        case "publication":
            _publication(record, view, message)
        case "unsubscribed":
            topic, code = message.payload["topic"], message.payload.get("code")
            is_denied = code in DENIALS
            if code == LOST and topic in view.topics:
                view.told.append((message, topic, view.topics[topic].position))
            _end(view, topic, message.at_s, is_gone_at_once=is_denied)
        case "presence":
            _presence(view, message)


def _take_reply(record: Record, view: View, message: Message, request: Message) -> None:
    match message.type:
        case "subscribed":
            _subscribed(record, view, message, request)
        case "error" if request.type == "subscribe":
            _not_subscribed(record, view, message, request)
        case "unsubscribed":
            _end(view, message.payload["topic"], message.at_s, is_gone_at_once=True)
        case "published":
            _published(record, view, message, request)
        case "history":
            _history(record, view, message)


def _not_subscribed(record: Record, view: View, message: Message, request: Message) -> None:
    done = view.session.completed.get(message.id)
    if done is not None:
        _subscribed(record, view, message._replace(payload=done), request)
        return
    for topic in _topics_of(request):
        if topic in view.topics:
            view.topics[topic].is_uncertain = True


def _topics_of(request: Message) -> list[Topic]:
    if "topics" in request.payload:
        return [each["topic"] for each in request.payload["topics"]]
    return [request.payload["topic"]]


def _subscribed(record: Record, view: View, message: Message, request: Message) -> None:
    if "topics" not in request.payload:
        _joined(record, view, message, request.payload, message.payload)
        return
    asked, answers = request.payload["topics"], message.payload["topics"]
    if [each["topic"] for each in asked] != [each["topic"] for each in answers]:
        _violate(view, "order", message, f"asked for {_topics_of(request)}, answered {answers!r}")
    for wanted, answer in zip(asked, answers, strict=False):
        if "error" not in answer:
            _joined(record, view, message, wanted, answer)
        elif wanted["topic"] in view.topics:
            view.topics[wanted["topic"]].is_uncertain = True


def _joined(
    record: Record, view: View, message: Message, wanted: dict[str, Any], answer: dict[str, Any]
) -> None:
    topic, recover = wanted["topic"], wanted.get("recover")
    position = Stored(answer["epoch"], answer["offset"])
    is_known = topic in view.topics
    present = {user["id"] for user in answer["presence"]["users"]} if "presence" in answer else None
    view.topics[topic] = Followed(position, present)
    if not is_known:
        view.spans.append(Span((view.session.tenant, topic), view.session.user, message.at_s))
    publications, recovered = answer["publications"], answer["recovered"]
    if recovered is False and recover is not None:
        view.told.append((message, topic, Stored(recover["epoch"], recover["offset"])))
    if recover is None or recovered is not True:
        if publications or recovered is not (None if recover is None else False):
            _violate(view, "order", message, f"{topic}: recovered {recovered} with {len(publications)}")
        return
    offsets = [publication["offset"] for publication in publications]
    if topic in record.forgetful and not offsets:
        return
    missed = list(range(recover["offset"] + 1, position.offset + 1))
    before = Stored(recover["epoch"], recover["offset"])
    if offsets != missed or not leads_to(record, (view.session.tenant, topic), before, position):
        _violate(view, "order", message, f"{topic}: `recovered` from {recover} to {position}: {offsets}")
    for publication in publications:
        _compare(record, view, message, position, publication)


def _publication(record: Record, view: View, message: Message) -> None:
    topic, offset = message.payload["topic"], message.payload["offset"]
    followed = view.topics.get(topic)
    if followed is None:
        _violate(view, "order", message, f"{topic}: publication {offset} without a subscription")
        return
    at = followed.position.offset
    is_next = offset > at if topic in record.forgetful else offset == at + 1
    if not is_next:
        kind = "a gap" if offset > at else "a double or a reorder"
        _violate(view, "order", message, f"{topic}: {kind}: publication {offset} after {at}")
    now = Stored(message.payload.get("epoch", followed.position.epoch), offset)
    if topic not in record.forgetful and not leads_to(
        record, (view.session.tenant, topic), followed.position, now
    ):
        _violate(view, "order", message, f"{topic}: {now} does not follow {followed.position}")
    followed.position = now
    _compare(record, view, message, now, message.payload)


def _compare(
    record: Record, view: View, message: Message, position: Stored, publication: dict[str, Any]
) -> None:
    key = (view.session.tenant, publication["topic"])
    stored = value_at(record, key, position, publication["offset"])
    if stored != publication["data"]:
        text = f"{key}: {publication['data']!r} as {publication['offset']} of {position}, published was {stored!r}"
        _violate(view, "order", message, text)


def _published(record: Record, view: View, message: Message, request: Message) -> None:
    answer = message.payload
    key = (view.session.tenant, answer["topic"])
    stored = record.truth.get(key, {}).get((answer["epoch"], answer["offset"]), NOTHING)
    if stored != request.payload["data"]:
        _violate(view, "order", message, f"{key}: {answer} acknowledges what the store has not ({stored!r})")


def _history(record: Record, view: View, message: Message) -> None:
    publications = message.payload["publications"]
    offsets = [publication["offset"] for publication in publications]
    if offsets and offsets != list(range(offsets[0], offsets[0] + len(offsets))):
        _violate(view, "order", message, f"a history with holes: {offsets}")
    position = Stored(message.payload["epoch"], message.payload["offset"])
    for publication in publications:
        _compare(record, view, message, position, publication)


def _presence(view: View, message: Message) -> None:
    payload = message.payload
    followed = view.topics.get(payload["topic"])
    if followed is None:
        _violate(view, "order", message, f"{payload['topic']}: a push of its presence without a subscription")
    elif followed.present is not None and "joined" in payload:
        joined, left = ({user["id"] for user in payload[name]} for name in ("joined", "left"))
        if joined & followed.present or left - followed.present:
            text = f"{payload['topic']}: +{joined} -{left} to a client that knows {followed.present}"
            _violate(view, "presence", message, text)
        followed.present = (followed.present | joined) - left


def _end(view: View, topic: Topic, at_s: float, *, is_gone_at_once: bool) -> None:
    if view.topics.pop(topic, None) is None:
        return
    for span in view.spans:
        if span.key[1] == topic and span.ended_s is None:
            span.ended_s, span.is_gone_at_once = at_s, is_gone_at_once


def _violate(view: View, rule: str, message: Message, text: str) -> None:
    view.violations.append(
        Violation(rule, message.at_s, message.order, f"{view.session.name} on {view.session.node}: {text}")
    )


# Rights: nothing is received after they were taken.


def nothing_after_rights_were_taken(record: Record, session: Session) -> Iterator[Violation]:
    """After a mark nothing of its topic, unless the right was given again; after a close nothing at all."""
    for mark in session.marks:
        for message in session.messages:
            if message.is_sent or message.number < mark.number:
                continue
            topic = _is_of(message, mark)
            if topic is not None and not _is_given_again(record, session, mark, message):
                text = f"{session.name} on {session.node}: {message.type} of {topic} after {mark.cause}"
                yield Violation("rights", message.at_s, message.order, text)
                break


def _is_of(message: Message, mark: Mark) -> Topic | None:
    """The topic that the message gives away; None where it has nothing to do with the mark."""
    if message.type in {"publication", "presence", "history"}:
        topics = [message.payload["topic"]]
    elif message.type == "subscribed":
        answers = message.payload.get("topics", [message.payload])
        topics = [each["topic"] for each in answers if "error" not in each]
    else:
        return None
    return next((topic for topic in topics if mark.topic is None or topic == mark.topic), None)


def _is_given_again(record: Record, session: Session, mark: Mark, message: Message) -> bool:
    return any(
        right.is_given
        and (right.tenant, right.user, right.topic) == (session.tenant, session.user, mark.topic)
        and mark.since_order < right.order < message.order
        for right in record.rights
    )


# At rest: nobody is silently behind, and presence is the truth.


def _is_open(session: Session, checkpoint: Checkpoint) -> bool:
    return session.ended_order is None or session.ended_order >= checkpoint.order


def nobody_is_behind(record: Record, checkpoint: Checkpoint, views: list[View]) -> Iterator[Violation]:
    """A client that believes to be subscribed has all publications."""
    for view in views:
        for topic, followed in view.topics.items():
            key, at = (view.session.tenant, topic), followed.position
            now = checkpoint.positions.get(key, at)
            if followed.is_uncertain or (at.offset == now.offset and leads_to(record, key, at, now)):
                continue
            text = f"{view.session.name} on {view.session.node}: {topic} at {followed.position}, is {now}"
            text += f" ({checkpoint.name})"
            yield Violation("behind", checkpoint.at_s, checkpoint.order, text)


def nobody_reloads_needlessly(record: Record, views: list[View]) -> Iterator[Violation]:
    """While the log keeps what a client lacks, it is told of a loss only if it has a publication that is not in the log."""
    if record.kept is None or not record.checkpoints:
        return
    positions = record.checkpoints[-1].positions
    for view in views:
        for message, topic, at in view.told:
            key = (view.session.tenant, topic)
            now = positions[key]
            # It was no further behind when it was told.
            is_kept = now.offset - at.offset <= record.kept and topic not in record.forgetful
            if is_kept and at.offset and leads_to(record, key, at, now):
                text = (
                    f"{view.session.name} on {view.session.node}: {topic} at {at} had nothing that was lost"
                )
                yield Violation("needless", message.at_s, message.order, text)


def presence_is_the_truth(checkpoint: Checkpoint, views: list[View]) -> Iterator[Violation]:
    """Every node, and every client that asked, knows exactly who is subscribed."""
    truth = _who_is_subscribed(views)
    unsure = {
        (view.session.tenant, topic) for view in views for topic, f in view.topics.items() if f.is_uncertain
    }
    for node, known in checkpoint.presence.items():
        for key in sorted((known.keys() | truth.keys()) - unsure):
            if known.get(key, {}) != truth.get(key, {}):
                text = f"{node}: {key} has {known.get(key, {})}, the truth is {truth.get(key, {})}"
                yield Violation("presence", checkpoint.at_s, checkpoint.order, text)
    for view in views:
        for topic, followed in view.topics.items():
            key = (view.session.tenant, topic)
            # Only signed-in clients are told who, and only those that asked.
            if view.session.user is None or followed.present is None or key in unsure:
                continue
            if followed.present != set(truth.get(key, {})):
                text = (
                    f"{view.session.name}: {key} was told {followed.present}, the truth is {truth.get(key)}"
                )
                yield Violation("presence", checkpoint.at_s, checkpoint.order, text)


def _who_is_subscribed(views: list[View]) -> dict[Key, dict[int, int]]:
    """The users of each topic, with the number of their connections."""
    truth: dict[Key, dict[int, int]] = {}
    for view in views:
        if view.session.user is not None:
            for topic in view.topics:
                users = truth.setdefault((view.session.tenant, topic), {})
                users[view.session.user] = users.get(view.session.user, 0) + 1
    return truth


def grace_is_kept(record: Record, spans: list[Span]) -> Iterator[Violation]:
    """A user whose sockets ended without a word is not said to have left before the grace is over."""
    if record.grace_s is None:
        return
    for session in record.sessions:
        for message in session.messages:
            if message.is_sent or message.type != "presence" or message.id is not None:
                continue
            key = (session.tenant, message.payload["topic"])
            for user in message.payload.get("left", ()):
                if _is_said(record, key, user["id"], message.at_s):
                    continue
                if _is_within_grace(spans, key, user["id"], message.at_s, record.grace_s):
                    text = f"{session.name} was told that {user['id']} left {key} within the grace"
                    yield Violation("grace", message.at_s, message.order, text)


def _is_said(record: Record, key: Key, user: int, at_s: float) -> bool:
    """Whether something told within the grace that the user is gone: then there is none, whatever came of it."""
    assert record.grace_s is not None
    since_s = at_s - record.grace_s - SLACK_S
    taken = [
        right.order
        for right in record.rights
        if not right.is_given and (right.tenant, right.topic) == key and right.user == user
    ]
    theirs = [each for each in record.sessions if (each.tenant, each.user) == (key[0], user)]
    revoked = [order for order, whose in record.revoked if whose == user]
    closes = [mark.order for each in theirs for mark in each.marks if mark.topic is None]
    asked_out = [
        message.order
        for each in theirs
        for message in each.messages
        # A credential may be narrower, and its holder hear nothing of it any more.
        if message.is_sent and message.type in {"unsubscribe", "refresh"}
        if message.payload.get("topic", key[1]) == key[1]
    ]
    return any(
        since_s <= record.entries[order].at_s <= at_s for order in (*taken, *revoked, *closes, *asked_out)
    )


def _is_within_grace(spans: list[Span], key: Key, user: int, at_s: float, grace_s: float) -> bool:
    """Whether it has sockets there, or the last ended less than the grace ago, none of them for good."""
    theirs = [span for span in spans if span.key == key and span.user == user and span.began_s < at_s]
    recent = [span for span in theirs if span.ended_s is not None and at_s < span.ended_s + grace_s - SLACK_S]
    has_open = any(span.ended_s is None or span.ended_s > at_s for span in theirs)
    if any(span.is_vague for span in theirs) or any(span.is_gone_at_once for span in recent):
        return False
    return bool(recent) or has_open
