"""One connection's subscription to one topic, from before its first await to its end."""

from enum import Enum
from typing import TYPE_CHECKING

from realtime.core.topics import TopicRule
from realtime.engine.ports import TopicKey

if TYPE_CHECKING:
    from realtime.connection import Connection


class SubscriptionState(Enum):
    """JOINING → LIVE → ENDED, or JOINING → ENDED."""

    JOINING = "joining"
    LIVE = "live"
    ENDED = "ended"


class Subscription:
    """Held by its connection (`connection.subscriptions[topic]`) and, from its opening on, by the hub's topic.

    Presence and gauges begin when it becomes LIVE and end with it; whatever ends it acts on a JOINING one too.
    """

    __slots__ = ("connection", "key", "rule", "state", "wants_presence")

    def __init__(
        self, connection: "Connection", topic: str, rule: TopicRule, *, wants_presence: bool
    ) -> None:
        self.connection = connection
        self.key = TopicKey(connection.tenant.slug, topic)
        self.rule = rule
        self.wants_presence = wants_presence
        self.state = SubscriptionState.JOINING

    @property
    def topic(self) -> str:
        """The topic's name."""
        return self.key.topic
