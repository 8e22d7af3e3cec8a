"""The writers of a node's chat, put together: what they store by, and whom they tell."""

from collections.abc import Sequence

from django.db import connection

from chat import services
from chat.announcements import aannounce_messages
from chat.writer import MessageWriter, MessageWriters, in_turns
from realtime import Node, Owner

# Whose database work it is that a tenant's messages are stored: no single user's.
WRITER = "chat.writer"


def writers_of(node: Node) -> MessageWriters:
    """The node's one, made at its first message."""
    return node.shared(MessageWriters, lambda: _make(node))


def _make(node: Node) -> MessageWriters:
    has_row_locks = connection.features.has_select_for_update
    store = services.messages_send if has_row_locks else in_turns(services.messages_send)

    async def announce(sent: Sequence[services.Sent]) -> None:
        await aannounce_messages(node, ((each.draft, each.message) for each in sent))

    return MessageWriters(
        lambda: MessageWriter(
            lambda drafts: node.database.run_for(Owner(drafts[0].tenant.slug, WRITER), store, drafts),
            announce,
            node.spawn,
        )
    )
