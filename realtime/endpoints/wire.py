"""The payloads that this package's endpoints send: replies of their verbs, and pushes."""

from typing import Any

import msgspec

from realtime.protocol.errors import ErrorCode

Missing = msgspec.UnsetType
MISSING = msgspec.UNSET
Object = dict[str, Any]


class User(msgspec.Struct, frozen=True):
    """A user of the tenant."""

    id: int | str
    username: str


class PresentUser(msgspec.Struct, frozen=True):
    """A user with open sockets that follow a topic."""

    id: int | str
    username: str
    connections: int


class ErrorPayload(msgspec.Struct, frozen=True):
    """Why a request failed."""

    code: ErrorCode
    message: str
    retryable: bool
    retry_after_ms: int | Missing = MISSING
    details: Object | Missing = MISSING


class Heartbeat(msgspec.Struct, frozen=True):
    """The server's protocol pings, in seconds."""

    interval_s: float
    timeout_s: float


class Limits(msgspec.Struct, frozen=True):
    """The limits of a connection. 0 means that there is none."""

    message_bytes: int
    messages_per_s: float
    messages_burst: int
    bytes_per_s: float
    bytes_burst: int
    subscriptions: int
    calls: int
    call_timeout_s: float
    outbox_bytes: int


class Welcome(msgspec.Struct, frozen=True):
    """The first message: the user of the connection, and the limits."""

    connection_id: str
    tenant: str
    user: User | None
    scopes: list[str]
    node: str
    server_time: str
    heartbeat: Heartbeat
    limits: Limits


class Expiring(msgspec.Struct, frozen=True):
    """The credential ends soon: refresh it."""

    expires_at: str


class Announcement(msgspec.Struct, frozen=True):
    """A text of the operators."""

    text: str
    level: str


class Empty(msgspec.Struct, frozen=True):
    """Nothing."""


class Cancelled(msgspec.Struct, frozen=True):
    """The call with this id has been told to end."""

    id: str | int


class Refreshed(msgspec.Struct, frozen=True):
    """The credential was replaced."""

    expires_at: str | None


class Publication(msgspec.Struct, frozen=True):
    """Something was published in a topic. `epoch` is there if the history goes on under another one, with nothing lost."""

    topic: str
    offset: int
    data: Any
    publisher: User | None
    time: str
    epoch: str | Missing = MISSING


class Presence(msgspec.Struct, frozen=True):
    """The users who follow a topic. `users` is empty if they are not named: not signed in, or too many."""

    users: list[PresentUser]
    count: int


class Subscribed(msgspec.Struct, frozen=True):
    """The outcome for one topic: its position and what was missed, or the error."""

    topic: str
    epoch: str | Missing = MISSING
    offset: int | Missing = MISSING
    recovered: bool | Missing | None = MISSING
    publications: list[Publication] | Missing = MISSING
    presence: Presence | Missing = MISSING
    error: ErrorPayload | Missing = MISSING


class SubscribedReply(msgspec.Struct, frozen=True):
    """The outcome for the topic that was asked for, or that for each of `topics`, in their order."""

    topic: str | Missing = MISSING
    epoch: str | Missing = MISSING
    offset: int | Missing = MISSING
    recovered: bool | Missing | None = MISSING
    publications: list[Publication] | Missing = MISSING
    presence: Presence | Missing = MISSING
    topics: list[Subscribed] | Missing = MISSING


class TopicName(msgspec.Struct, frozen=True):
    """The name of a topic."""

    topic: str


class Published(msgspec.Struct, frozen=True):
    """The position of the new publication."""

    topic: str
    epoch: str
    offset: int


class HistoryReply(msgspec.Struct, frozen=True):
    """Publications of a topic, and its position."""

    topic: str
    epoch: str
    offset: int
    publications: list[Publication]


class PresenceReply(msgspec.Struct, frozen=True):
    """The users who follow a topic."""

    topic: str
    users: list[PresentUser]
    count: int


class PresenceChange(msgspec.Struct, frozen=True):
    """Users came or left; only their number, if they are not named."""

    topic: str
    joined: list[PresentUser] | Missing = MISSING
    left: list[User] | Missing = MISSING
    count: int | Missing = MISSING


class Unsubscribed(msgspec.Struct, frozen=True):
    """The server has ended a subscription."""

    topic: str
    code: str
    reason: str


class Method(msgspec.Struct, frozen=True):
    """An RPC method: its parameters and its result as JSON Schema."""

    name: str
    description: str
    params: Object
    reply: str
    result: Object
    scopes: list[str]
    signed_in: bool


class Methods(msgspec.Struct, frozen=True):
    """The RPC methods, by name."""

    methods: list[Method]


class StreamName(msgspec.Struct, frozen=True):
    """The name of a stream on this connection."""

    stream: str


class StreamValue(msgspec.Struct, frozen=True):
    """A value of a stream. `timestamp` is in seconds of Unix time."""

    stream: str
    source: str
    timestamp: float
    value: Any


class StreamEnded(msgspec.Struct, frozen=True):
    """A stream has ended."""

    stream: str
    source: str


class Rows(msgspec.Struct, frozen=True):
    """A page of a query. Several have the request's id; the last one has no `more`."""

    query_id: str
    items: list[Any]
    more: bool


class QueryName(msgspec.Struct, frozen=True):
    """The name of a watched query on this connection."""

    query_id: str


class Change(msgspec.Struct, frozen=True):
    """A row of a watched query has changed: `op` is `insert`, `update` or `remove`."""

    query_id: str
    op: str
    item: Any


class Session(msgspec.Struct, frozen=True):
    """The session of the page: its user, its end and its values."""

    user: User | None
    expires_at: str | None
    values: Object


class Saved(msgspec.Struct, frozen=True):
    """A value of the session was stored."""

    key: str


class Value(msgspec.Struct, frozen=True):
    """A value of the session; null if there is none."""

    key: str
    value: Any


# Pushes by the type of the message: those of every JSON endpoint, and those of an endpoint with topics, streams, queries.
PUSHES: dict[str, Any] = {"welcome": Welcome, "expiring": Expiring, "announcement": Announcement}
TOPIC_PUSHES: dict[str, Any] = {
    "publication": Publication,
    "presence": PresenceChange,
    "unsubscribed": Unsubscribed,
}
STREAM_PUSHES: dict[str, Any] = {"data": StreamValue, "stopped": StreamEnded}
DATA_PUSHES: dict[str, Any] = {"change": Change}
