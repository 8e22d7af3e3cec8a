"""The message writers of a node: connects them to the database and to the announcements."""

from collections.abc import Sequence

from django.db import connection

from chat.announcements import aannounce_messages
from chat.messages.sending import Sent, messages_send
from chat.writer import MessageWriter, MessageWriters, in_turns
from realtime import Node, Owner

# The owner of the database work that stores a tenant's messages. It is not one user's work.
WRITER = "chat.writer"


def writers_of(node: Node) -> MessageWriters:
    """Return the node's writers. They are created at its first message."""
    return node.shared(MessageWriters, lambda: _make(node))


def _make(node: Node) -> MessageWriters:
    has_row_locks = connection.features.has_select_for_update
    store = messages_send if has_row_locks else in_turns(messages_send)

    async def announce(sent: Sequence[Sent]) -> None:
        await aannounce_messages(node, ((each.draft, each.message) for each in sent))

    return MessageWriters(
        lambda: MessageWriter(
            lambda drafts: node.database.run_for(Owner(drafts[0].tenant.slug, WRITER), store, drafts),
            announce,
            node.spawn,
        )
    )
