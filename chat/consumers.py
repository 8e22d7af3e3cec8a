"""The chat's endpoint: the verbs of pub/sub and those of the chat."""

from chat.typing import Typing
from chat.verbs import CHAT_VERBS
from realtime.endpoints.consumers.json import CORE_VERBS, JsonConsumer
from realtime.endpoints.consumers.pubsub import PUBSUB_VERBS


class ChatConsumer(JsonConsumer):
    """Rooms, messages, typing, presence and read marks for signed-in members."""

    verbs = {**CORE_VERBS, **PUBSUB_VERBS, **CHAT_VERBS}
    typing: Typing | None = None
