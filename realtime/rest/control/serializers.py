"""The bodies of the control endpoints and their answers."""

from collections.abc import Mapping
from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.exceptions import ValidationError

from realtime.models import AuditEntry, Ban
from realtime.rest.control.fields import Address, AnyJson, Flag, Text, TopicName, UserId, Values, one_of
from realtime.topics.engine.drafts import IDEMPOTENCY_KEY_MAX_CHARS

TOPICS_MAX = 100
COMMANDS_MAX = 100
ANNOUNCEMENT_MAX_CHARS = 1000
CONNECTION_ID_MAX_CHARS = 64
LEVELS = ("info", "success", "warning", "error", "critical")
DISCONNECT_TARGETS = ("connection_id", "user_id", "address", "topic", "everyone")
BAN_TARGETS = ("user_id", "address")


class PublishValues(Values):
    """Publish to a topic, as the server."""

    topic = TopicName()
    data = AnyJson()  # type: ignore[assignment]  # a field, not the property
    idempotency_key = Text(
        required=False,
        max_length=IDEMPOTENCY_KEY_MAX_CHARS,
        help_text="A second publication with the same key is not made.",
    )


class BroadcastValues(Values):
    """Publish the same to several topics."""

    topics = serializers.ListField(child=TopicName(), min_length=1, max_length=TOPICS_MAX)
    data = AnyJson()  # type: ignore[assignment]  # a field, not the property


class DisconnectValues(Values):
    """Close connections: exactly one of the first five fields says which."""

    connection_id = Text(required=False, max_length=CONNECTION_ID_MAX_CHARS)
    user_id = UserId(required=False)
    address = Address(required=False)
    topic = TopicName(required=False)
    everyone = Flag(required=False, help_text="All connections of the tenant: the host's if none is named.")
    reconnect = Flag(default=True, help_text="Whether the clients should come back.")

    def faults(self, data: Mapping[str, Any]) -> dict[str, str]:
        """Exactly one target."""
        return one_of(data, DISCONNECT_TARGETS)


class SubscriptionValues(Values):
    """A user and a topic."""

    topic = TopicName()
    user_id = UserId()


class RevokeValues(Values):
    """The user whose tokens and sessions end."""

    user_id = UserId()


class BanValues(Values):
    """Ban a user or an address until a time."""

    user_id = UserId(required=False)
    address = Address(required=False)
    until = serializers.DateTimeField(
        help_text="A time in the future, ISO 8601 with its offset.",
        error_messages={"invalid": "Expected a time, ISO 8601 with its offset."},
    )

    def faults(self, data: Mapping[str, Any]) -> dict[str, str]:
        """Exactly one target."""
        return one_of(data, BAN_TARGETS)

    def validate_until(self, value: Any) -> Any:
        """Require a time in the future."""
        if value <= timezone.now():
            raise ValidationError("Expected a time in the future.")
        return value


class AnnounceValues(Values):
    """An announcement to everyone who is connected to a JSON endpoint."""

    text = Text(max_length=ANNOUNCEMENT_MAX_CHARS)
    level = serializers.ChoiceField(LEVELS, default="info")
    preview = Flag(default=False, help_text="Count the clients, and send nothing.")


class DrainValues(Values):
    """The node that closes its connections and accepts no more."""

    node = Text(max_length=64)


class NoValues(Values):
    """Only the reason."""


class BatchValues(Values):
    """Several operations, in order."""

    commands = serializers.ListField(child=serializers.DictField(), min_length=1, max_length=COMMANDS_MAX)


# The body that checks the values of an operation, by its name.
BODIES: dict[str, type[Values]] = {
    "publish": PublishValues,
    "broadcast": BroadcastValues,
    "disconnect": DisconnectValues,
    "subscribe": SubscriptionValues,
    "unsubscribe": SubscriptionValues,
    "revoke": RevokeValues,
    "ban": BanValues,
    "unban": NoValues,
    "announce": AnnounceValues,
    "drain": DrainValues,
    "suspend": NoValues,
    "resume": NoValues,
}


class PositionAnswer(serializers.Serializer[Any]):
    """The position of a publication."""

    topic = serializers.CharField()
    epoch = serializers.CharField()
    offset = serializers.IntegerField()


class ErrorAnswer(serializers.Serializer[Any]):
    """The code and message of an error."""

    code = serializers.CharField()
    message = serializers.CharField()
    retryable = serializers.BooleanField(required=False)


class BroadcastItem(serializers.Serializer[Any]):
    """The position in one topic, or why it was not published."""

    topic = serializers.CharField()
    epoch = serializers.CharField(required=False)
    offset = serializers.IntegerField(required=False)
    error = ErrorAnswer(required=False)


class BroadcastAnswer(serializers.Serializer[Any]):
    """One item for each topic, in the order of the request."""

    results = BroadcastItem(many=True)


class CountAnswer(serializers.Serializer[Any]):
    """The number of things that the operation concerned; 0 if there was none."""

    count = serializers.IntegerField()


class BanAnswer(CountAnswer):
    """The ban, and the number of connections that it ended. `id` is absent if there is no such user."""

    id = serializers.IntegerField(required=False)


class BatchItem(serializers.Serializer[Any]):
    """The answer of one command, or its error."""

    error = ErrorAnswer(required=False)


class BatchAnswer(serializers.Serializer[Any]):
    """The answers, in the order of the commands: each is the answer that the command would get alone, or `error`."""

    results = BatchItem(many=True)


class UserAnswer(serializers.Serializer[Any]):
    """A user."""

    id = extend_schema_field({"oneOf": [{"type": "integer"}, {"type": "string"}]})(serializers.JSONField)()
    username = serializers.CharField()


class ConnectionAnswer(serializers.Serializer[Any]):
    """An open connection."""

    id = serializers.CharField()
    node = serializers.CharField()
    tenant = serializers.CharField()
    user = UserAnswer(allow_null=True)
    route = serializers.CharField()
    address = serializers.CharField()
    agent = serializers.CharField(help_text="User-Agent of the client.")
    opened_at = serializers.DateTimeField()
    messages_in = serializers.IntegerField()
    messages_out = serializers.IntegerField()
    outbox_bytes = serializers.IntegerField(help_text="Bytes that wait for the client.")
    rtt_ms = serializers.FloatField(
        allow_null=True, help_text="Of the last ping; null before the first pong."
    )
    topics = serializers.ListField(child=serializers.CharField(), help_text="The first 100, in a list.")


class NodesPage(serializers.Serializer[Any]):
    """The fields that every page of a list over all nodes has; each kind of page has its own `results`."""

    nodes_answered = serializers.IntegerField()
    nodes_total = serializers.IntegerField()
    count = serializers.IntegerField()


class ConnectionsAnswer(NodesPage):
    """A page of connections of all nodes that answered."""

    results = ConnectionAnswer(many=True)


class TopicAnswer(serializers.Serializer[Any]):
    """A topic with subscriptions."""

    tenant = serializers.CharField()
    topic = serializers.CharField()
    epoch = serializers.CharField()
    offset = serializers.IntegerField()
    subscribers = serializers.IntegerField()
    users = serializers.IntegerField(help_text="Different users who are present.")
    slow = serializers.IntegerField(help_text="Subscribers that are behind.")


class TopicsAnswer(NodesPage):
    """A page of topics of all nodes that answered."""

    results = TopicAnswer(many=True)


class NodeAnswer(serializers.Serializer[Any]):
    """A node. Operators of one tenant see its own figures, and nothing of the machine."""

    id = serializers.CharField()
    answered = serializers.BooleanField(help_text="False: it is late, and nothing else is known of it.")
    started_at = serializers.DateTimeField(required=False)
    uptime_s = serializers.IntegerField(required=False)
    draining = serializers.BooleanField(required=False)
    connections = serializers.IntegerField(required=False)
    subscriptions = serializers.IntegerField(required=False)
    messages_in = serializers.IntegerField(required=False)
    messages_out = serializers.IntegerField(required=False)
    host = serializers.CharField(required=False)
    pid = serializers.IntegerField(required=False)
    python = serializers.CharField(required=False)
    topics = serializers.IntegerField(required=False)
    loop_lag_ms = serializers.DictField(child=serializers.FloatField(), required=False)


class NodesAnswer(NodesPage):
    """The nodes that are alive."""

    results = NodeAnswer(many=True)


class PresentUserAnswer(UserAnswer):
    """A user in a topic."""

    connections = serializers.IntegerField()


class PresenceAnswer(serializers.Serializer[Any]):
    """The users in a topic; above 200 only their number."""

    topic = serializers.CharField()
    users = PresentUserAnswer(many=True)
    count = serializers.IntegerField()


class PublicationAnswer(serializers.Serializer[Any]):
    """A publication."""

    topic = serializers.CharField()
    offset = serializers.IntegerField()
    data = AnyJson()  # type: ignore[assignment]  # a field, not the property
    publisher = UserAnswer(allow_null=True)
    time = serializers.DateTimeField()


class HistoryAnswer(PositionAnswer):
    """The newest publications of a topic, in order."""

    publications = PublicationAnswer(many=True)


class BanRow(serializers.ModelSerializer[Ban]):
    """A ban in force."""

    class Meta:
        model = Ban
        fields = ("id", "tenant", "user_id", "address", "until", "reason", "created_at", "created_by")


class BansAnswer(serializers.Serializer[Any]):
    """A page of bans."""

    count = serializers.IntegerField()
    results = BanRow(many=True)


class AuditActor(serializers.Serializer[AuditEntry]):
    """The operator of an entry."""

    kind = serializers.CharField(source="actor_kind")
    id = serializers.CharField(source="actor_id")
    name = serializers.CharField(source="actor")


class AuditRow(serializers.ModelSerializer[AuditEntry]):
    """An entry of the audit log."""

    actor = AuditActor(source="*")

    class Meta:
        model = AuditEntry
        fields = (
            "id",
            "at",
            "actor",
            "tenant",
            "action",
            "target",
            "reason",
            "address",
            "outcome",
            "error",
            "count",
        )


class AuditAnswer(serializers.Serializer[Any]):
    """A page of the audit log, the newest first."""

    count = serializers.IntegerField()
    results = AuditRow(many=True)
