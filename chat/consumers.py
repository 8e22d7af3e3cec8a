"""The chat's endpoint: the verbs of publish and subscribe, and those of the chat."""

from functools import cached_property
from time import monotonic

from chat.typing import Typing
from chat.verbs import CHAT_VERBS
from realtime import CORE_VERBS, PUBSUB_VERBS, JsonConsumer


class ChatConsumer(JsonConsumer):
    """Rooms, messages, typing, presence and read marks for signed-in members."""

    verbs = {**CORE_VERBS, **PUBSUB_VERBS, **CHAT_VERBS}

    @cached_property
    def typing(self) -> Typing:
        """The connection's typing, from the first use on."""
        return Typing(monotonic())
