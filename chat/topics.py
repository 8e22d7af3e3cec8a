"""Who may subscribe to what the chat publishes. Only the server publishes here."""

from realtime.core.topics import TopicRule, members, nobody

# Provisional gates: membership of the room is checked by the chat's own gate.
ROOM_TOPICS = {
    "room": TopicRule(subscribe=members, publish=nobody),
    "typing": TopicRule(subscribe=members, publish=nobody, history_size=0),
}
