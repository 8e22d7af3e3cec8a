"""One connection's subscription to one topic, from before its first await until its end."""

from enum import Enum
from typing import Any, Protocol

from realtime.core.identity import Identity, Tenant
from realtime.core.topics import TopicKey, TopicRule
from realtime.protocol.close_codes import CloseCode
from realtime.protocol.errors import RequestError
from realtime.sockets.metrics import RouteMetrics
from realtime.sockets.outbox import Outbox

# Closes that take rights away: presence ends at once. After any other close the client may reconnect.
TOLD_AT_ONCE = frozenset({CloseCode.UNAUTHENTICATED, CloseCode.FORBIDDEN, CloseCode.ENDED_BY_OPERATOR})


class SubscriptionState(Enum):
    """JOINING → LIVE → ENDED, or JOINING → ENDED."""

    JOINING = "joining"
    LIVE = "live"
    ENDED = "ended"


class Subscriber(Protocol):
    """A connection as topics see it."""

    id: str
    tenant: Tenant
    identity: Identity | None
    outbox: Outbox
    metrics: RouteMetrics
    # By topic name; each is JOINING or LIVE.
    subscriptions: "dict[str, Subscription]"

    @property
    def address(self) -> str:
        """The client's address without the port; "" if the server does not know it."""
        ...

    @property
    def is_closing(self) -> bool:
        """Whether either side has begun to close."""
        ...

    def push(self, message_type: str, payload: dict[str, Any]) -> None:
        """Queue a push."""
        ...


class Subscription:
    """Held by its connection (`connection.subscriptions[topic]`) and by the hub's topic,
    both from the reservation on.

    Presence and gauges count it only while it is LIVE. A JOINING one can be ended too: the pending request
    then finds it ENDED and answers with `ended_by`.
    """

    __slots__ = ("connection", "ended_by", "key", "needs_recheck", "owner", "rule", "state", "wants_presence")

    def __init__(
        self,
        connection: Subscriber,
        key: TopicKey,
        rule: TopicRule,
        owner: "SubscriptionOwner",
        *,
        wants_presence: bool,
    ) -> None:
        self.connection = connection
        self.key = key
        self.rule = rule
        self.owner = owner
        self.wants_presence = wants_presence
        self.state = SubscriptionState.JOINING
        # A right of its user or its topic has ended since the gates were asked; they are
        # asked again before it goes LIVE.
        self.needs_recheck = False
        self.ended_by: RequestError | None = None

    @property
    def topic(self) -> str:
        """The topic's name."""
        return self.key.topic

    @property
    def is_live(self) -> bool:
        """Whether its gates have allowed it and it has not ended."""
        return self.state is SubscriptionState.LIVE

    @property
    def is_ended(self) -> bool:
        """Whether it has ended."""
        return self.state is SubscriptionState.ENDED


class SubscriptionOwner(Protocol):
    """Ends subscriptions; implemented by the hub."""

    def end(self, subscription: Subscription, *, at_once: bool, error: RequestError | None = None) -> bool:
        """End a subscription; False if it had already ended."""
        ...
