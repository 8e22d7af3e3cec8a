"""How subscriptions begin: they are reserved, checked by the gates, caught up, and made
LIVE in a single step.

During every await here the connection may close, the user may lose a right, or the history may be lost. Each
of these changes the `Subscription`, which exists before the first await, so its state is
checked again after every await.
"""

import asyncio
from collections.abc import Coroutine, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, NamedTuple

from realtime.core.identity import Identity
from realtime.core.position import Position
from realtime.core.slots import PROCESS, Owner, owner_of
from realtime.core.topics import TopicRule, TopicRules
from realtime.node.blocking import BlockWatch
from realtime.node.database import Database
from realtime.node.failures import request_error
from realtime.protocol.errors import ErrorCode, RequestError
from realtime.sockets.subscription import Subscriber, Subscription, SubscriptionState
from realtime.topics.engine.ports import EngineUnavailableError
from realtime.topics.hub import Hub

# The most payload bytes of one reply: it must fit the client's own limit and the outbox.
CATCH_UP_MAX_BYTES = 512 * 1024
# The most bytes of presence in one reply, besides that of its first topic.
PRESENCE_MAX_BYTES = 256 * 1024
# The most reads of one topic for one subscription. A client that is not caught up by then must reload.
CATCH_UP_READS_MAX = 16
# The errors by which a gate denies; any other error means that it could not be asked.
DENIALS = frozenset({ErrorCode.PERMISSION_DENIED, ErrorCode.UNAUTHENTICATED, ErrorCode.NOT_FOUND})
# How long requests to subscribe may hold the event loop without a break, in seconds.
JOIN_SLICE_S = 0.005
NO_LONGER = "no longer allowed"
NOT_JUDGED = "your rights could not be checked: subscribe again and reload"


class JoinRequest(NamedTuple):
    """A topic to subscribe to. `since` is the client's last position, or None if it asks
    for no missed publications."""

    topic: str
    since: Position | None
    wants_presence: bool


class Joined(NamedTuple):
    """Where a subscription begins. `payloads` are the publications after `since`, or None
    if they are incomplete."""

    subscription: Subscription
    position: Position
    payloads: list[bytes] | None


@dataclass(slots=True)
class _Joining:
    """A request in progress. `reached` is the position up to which `payloads` go."""

    request: JoinRequest
    reached: Position | None
    subscription: Subscription | None = None
    payloads: list[bytes] = field(default_factory=list)
    size_bytes: int = 0
    is_lost: bool = False
    error: RequestError | None = None

    @property
    def is_under_way(self) -> bool:
        """Whether it may still become LIVE. If its subscription was ended meanwhile, it takes that error."""
        if self.error is None and self.subscription is not None and self.subscription.is_ended:
            self.error = self.subscription.ended_by or RequestError(
                ErrorCode.CANCELLED, "The subscription ended before it began."
            )
        return self.error is None

    def take(self, payloads: Sequence[bytes], reached: Position) -> None:
        """Add payloads up to `reached`; if they no longer fit a reply, give up recovery, and keep their size."""
        self.reached = reached
        self.payloads += payloads
        size_bytes = self.size_bytes + sum(map(len, payloads))
        if size_bytes > CATCH_UP_MAX_BYTES:
            self.lose()
        self.size_bytes = size_bytes

    def miss(self) -> None:
        """Nothing leads on from `reached`: begin again where the client is, or give up recovery.

        The publications taken so far came from this node's memory and were not sent yet: a failover may have lost it since.
        """
        if self.reached == self.request.since:
            self.lose()
        self.reached, self.payloads, self.size_bytes = self.request.since, [], 0

    def lose(self) -> None:
        """Give up recovery: the missed publications cannot all be delivered."""
        self.is_lost = True
        self.payloads, self.size_bytes = [], 0


@dataclass(slots=True)
class _Room:
    """The room that is left in one reply, in bytes. In a reply of its own, a topic with too many publications is
    subscribed without them."""

    is_shared: bool
    publications: int = CATCH_UP_MAX_BYTES
    presence: int = PRESENCE_MAX_BYTES

    def take(self, publications: int, presence: int) -> bool:
        """Take this room, if there is enough. The first presence always fits: alone it is short enough."""
        is_first = self.presence == PRESENCE_MAX_BYTES
        if publications > self.publications or (presence > self.presence and not is_first):
            return False
        self.publications -= publications
        self.presence -= presence
        return True


class LoopShare:
    """Lets one kind of work hold the event loop for at most `slice_s` seconds at a time, then lets other work
    run.

    Otherwise, when a thousand clients reconnect at once, all other clients wait until the last of them is
    served.
    """

    def __init__(self, slice_s: float) -> None:
        self._slice_s = slice_s
        # When the first work of this loop iteration began, in monotonic seconds; None before it.
        self._began_s: float | None = None

    async def turn(self) -> None:
        """Wait for a loop iteration that has time left; usually the current one has."""
        # Checked once in each loop iteration, because there is no event to wait for.
        while self._began_s is not None and monotonic() - self._began_s >= self._slice_s:  # noqa: ASYNC110
            await asyncio.sleep(0)
        if self._began_s is None:
            self._began_s = monotonic()
            asyncio.get_running_loop().call_soon(self._over)

    def _over(self) -> None:
        self._began_s = None


class Joiner:
    """Makes subscriptions, and checks their rights again. `max_subscriptions` is for one
    connection (0: no bound)."""

    def __init__(
        self,
        hub: Hub,
        rules: TopicRules,
        database: Database,
        max_subscriptions: int,
        watch: BlockWatch | None = None,
    ) -> None:
        self._hub = hub
        self._rules = rules
        self._database = database
        self._max_subscriptions = max_subscriptions
        self._share = LoopShare(JOIN_SLICE_S)
        self._watch = watch

    async def join(
        self,
        connection: Subscriber,
        requests: Sequence[JoinRequest],
        *,
        is_granted: bool = False,
        is_shared: bool = False,
    ) -> list[Joined | RequestError]:
        """Subscribe the connection to each topic; the results, or the errors, are in the same order.

        `is_granted`: the server has decided, so no gate is asked. `is_shared`: the reply has room for many topics, and one
        that does not fit is refused, also if it is the only one.
        Nothing is delivered between the return and the next await, so the caller's reply is sent first.
        """
        await self._share.turn()
        joinings = [self._reserve(connection, request) for request in requests]
        try:
            undecided = [each for each in joinings if each.is_under_way]
            while undecided:
                if is_granted:
                    _settle(undecided)
                else:
                    await self._ask_gates(connection, undecided)
                await _catch_up(self._hub, [each for each in undecided if each.is_under_way])
                # A right has ended meanwhile that their gates may have relied on.
                undecided = [each for each in joinings if each.is_under_way and _of(each).needs_recheck]
            return self._all_go_live(joinings, is_shared=is_shared)
        finally:
            for each in joinings:
                if each.subscription is not None and each.subscription.state is SubscriptionState.JOINING:
                    self._hub.end(each.subscription, at_once=False)

    async def judge_again(self, connection: Subscriber, *, is_strict: bool = False) -> None:
        """End the subscriptions that would not be granted now, because the connection's rights may have shrunk.

        Raises RequestError if the gates in the database cannot be asked. `is_strict`: it raises only if it is
        cancelled, and a subscription that cannot be judged ends too, with a code that makes the client subscribe again.
        """
        live = self._judge_at_hand(connection)
        try:
            answers = await self._ask_database(PROCESS, connection, live)
        except (RequestError, asyncio.CancelledError) as error:
            if is_strict:
                self._end_unjudged(live)
            if is_strict and isinstance(error, RequestError):
                return
            raise
        for subscription, answer in zip(live, answers, strict=True):
            if answer is not None and answer.code in DENIALS:
                self._hub.drop(subscription, answer.code, NO_LONGER)
            elif answer is not None and is_strict:
                self._hub.drop(subscription, ErrorCode.UNRECOVERABLE_POSITION, NOT_JUDGED)

    def _end_unjudged(self, live: Sequence[Subscription]) -> None:
        for each in live:
            if each.rule.subscribe_in_db:
                self._hub.drop(each, ErrorCode.UNRECOVERABLE_POSITION, NOT_JUDGED)

    def _judge_at_hand(self, connection: Subscriber) -> list[Subscription]:
        """End subscriptions that the gates without I/O no longer grant. Returns the LIVE subscriptions that remain."""
        live = []
        for subscription in list(connection.subscriptions.values()):
            # A JOINING subscription asks its gates again by itself.
            subscription.needs_recheck = True
            if subscription.state is not SubscriptionState.LIVE:
                continue
            denial = self._denial(connection, subscription.topic)
            if denial is None:
                live.append(subscription)
            elif denial.code in DENIALS:
                self._hub.drop(subscription, denial.code, NO_LONGER)
            else:
                # A gate that fails does not allow.
                self._hub.drop(subscription, ErrorCode.UNRECOVERABLE_POSITION, NOT_JUDGED)
        return live

    def _reserve(self, connection: Subscriber, request: JoinRequest) -> _Joining:
        joining = _Joining(request, request.since)
        try:
            rule = self._rules.rule(request.topic)
            limit, known = self._max_subscriptions, connection.subscriptions
            if limit and request.topic not in known and len(known) >= limit:
                raise RequestError(
                    ErrorCode.LIMIT_EXCEEDED, f"A connection may subscribe to at most {limit} topics."
                )
            if connection.is_closing:
                raise RequestError(ErrorCode.CANCELLED, "The connection is closing.")
            joining.subscription = self._hub.reserve(
                connection, request.topic, rule, wants_presence=request.wants_presence
            )
        except RequestError as error:
            joining.error = error
        return joining

    def _denial(self, connection: Subscriber, topic: str) -> RequestError | None:
        """The error of the gate without I/O; None if it allows the subscription."""
        try:
            with self._watch.step(_gate_of(topic), connection) if self._watch else nullcontext():
                self._rules.require_subscribe(connection.identity, topic)
        except Exception as error:
            return request_error(error, _gate_of(topic), connection)
        return None

    async def _ask_gates(self, connection: Subscriber, joinings: Sequence[_Joining]) -> None:
        allowed: list[_Joining] = []
        for each in joinings:
            _of(each).needs_recheck = False
            denial = self._denial(connection, each.request.topic)
            if denial is None:
                allowed.append(each)
            else:
                self._deny(each, denial)
        owner = owner_of(connection.tenant, connection.identity, connection.address)
        answers = await self._ask_database(owner, connection, [_of(each) for each in allowed])
        for each, error in zip(allowed, answers, strict=True):
            if error is not None and each.is_under_way:
                self._deny(each, error)

    async def _ask_database(
        self, owner: Owner, connection: Subscriber, subscriptions: Sequence[Subscription]
    ) -> list[RequestError | None]:
        """The errors of the gates that use the database, None for each that allows; all are
        asked in one database call."""
        asked = [(each.rule, each.topic) for each in subscriptions]
        if all(rule.subscribe_in_db is None for rule, _ in asked):
            return [None] * len(asked)
        answers = await self._database.run_for(owner, _ask_in_thread, connection.identity, asked)
        return [
            None if answer is None else request_error(answer, _gate_of(topic), connection)
            for answer, (_, topic) in zip(answers, asked, strict=True)
        ]

    def _deny(self, joining: _Joining, error: RequestError) -> None:
        """Record the error. A denied subscription is also ended, even if it was LIVE before this request."""
        joining.error = error
        if error.code in DENIALS:
            self._hub.drop(_of(joining), error.code, NO_LONGER)

    def _all_go_live(self, joinings: Sequence[_Joining], *, is_shared: bool) -> list[Joined | RequestError]:
        room = _Room(is_shared)
        return [_go_live(self._hub, each, room) for each in joinings]


def _settle(joinings: Sequence[_Joining]) -> None:
    for each in joinings:
        _of(each).needs_recheck = False


def _ask_in_thread(
    identity: Identity | None, asked: Sequence[tuple[TopicRule, str]]
) -> list[Exception | None]:
    return [_answer(rule, identity, topic) for rule, topic in asked]


def _answer(rule: TopicRule, identity: Identity | None, topic: str) -> Exception | None:
    """None if the gate allows. An exception is returned as the answer for its topic, so
    that it does not affect others."""
    if rule.subscribe_in_db is None:
        return None
    try:
        is_open = rule.subscribe_in_db(identity, topic) is True
    except Exception as error:
        return error
    if is_open:
        return None
    return RequestError(ErrorCode.PERMISSION_DENIED, "You may not subscribe to this topic.")


async def _catch_up(hub: Hub, joinings: Sequence[_Joining]) -> None:
    await _all([_open(hub, each) for each in joinings if _needs_opening(hub, each)])
    for _ in range(CATCH_UP_READS_MAX):
        behind = [each for each in joinings if each.is_under_way and not _is_caught_up(hub, each)]
        if not behind:
            return
        await _all([_read(hub, each) for each in behind])


def _needs_opening(hub: Hub, joining: _Joining) -> bool:
    local = hub.topic(_of(joining).key)
    return local is not None and not local.is_open


async def _open(hub: Hub, joining: _Joining) -> None:
    try:
        await hub.open(_of(joining).key, joining.request.since)
    except EngineUnavailableError as error:
        joining.error = request_error(error, _gate_of(joining.request.topic), _of(joining).connection)


def _is_caught_up(hub: Hub, joining: _Joining) -> bool:
    """Take the payloads that the hub has in memory; False if more must be read."""
    local = hub.topic(_of(joining).key)
    if joining.reached is None or joining.is_lost or local is None:
        return True
    if joining.reached.epoch != local.epoch:
        # The history knows whether it leads to the present one.
        return False
    payloads = hub.kept_after(local, joining.reached.offset)
    if payloads is None:
        return False
    joining.take(payloads, local.position)
    return True


async def _read(hub: Hub, joining: _Joining) -> None:
    """Read from the history for a joining that the hub's memory does not catch up."""
    local, reached = hub.topic(_of(joining).key), joining.reached
    if local is None or reached is None:
        return
    try:
        if reached.epoch == local.epoch and reached.offset > local.offset:
            # The client is ahead of this node: either another node told it more, or the offset is made up.
            await hub.look_now(local)
            if reached.epoch == local.epoch and reached.offset > local.offset:
                joining.miss()
            return
        # The hub may learn of the client's epoch with the same read. Nothing after its position is then no loss.
        is_known = reached.epoch == local.epoch
        page = await hub.reads.page(local.key, reached)
        if page.publications is not None and page.position.epoch != local.epoch:
            # This node does not know the current epoch yet.
            await hub.look_now(local)
            return
    except EngineUnavailableError as error:
        joining.error = request_error(error, _gate_of(joining.request.topic), _of(joining).connection)
        return
    if page.publications is None or (is_known and not page.publications):
        joining.miss()
    else:
        known = [each.offset for each in page.publications if each.offset <= local.offset]
        payloads = hub.cache(local, page)[: len(known)]
        joining.take(payloads, Position(local.epoch, known[-1] if known else reached.offset))
    hub.heard_of(local, page.position)


def _go_live(hub: Hub, joining: _Joining, room: _Room) -> Joined | RequestError:
    """Make a joining LIVE. Nothing is awaited between the last check and this step."""
    if not joining.is_under_way:
        assert joining.error is not None
        return joining.error
    if not _is_caught_up(hub, joining):
        joining.lose()
    subscription = _of(joining)
    size_bytes = joining.size_bytes if room.is_shared or not joining.is_lost else 0
    if not room.take(size_bytes, hub.list_bytes(subscription)):
        # A LIVE subscription ends too: otherwise later publications would follow a gap unknown to the client.
        hub.end(subscription, at_once=False)
        return RequestError(
            ErrorCode.LIMIT_EXCEEDED, "The reply is full; subscribe to this `topic` in a request of its own."
        )
    hub.go_live(subscription)
    local = hub.topic(subscription.key)
    assert local is not None
    return Joined(subscription, local.position, None if joining.is_lost else joining.payloads)


def _gate_of(topic: str) -> str:
    return f"The subscription to {topic!r}"


def _of(joining: _Joining) -> Subscription:
    assert joining.subscription is not None
    return joining.subscription


async def _all(steps: Sequence[Coroutine[Any, Any, None]]) -> None:
    if len(steps) == 1:
        await steps[0]
    elif steps:
        await asyncio.gather(*steps)
