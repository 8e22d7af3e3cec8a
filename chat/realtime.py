"""The chat's objects in every node: the message writers, and the task that announces messages left by killed processes."""

import logging
from collections.abc import Collection, Sequence
from contextlib import nullcontext
from threading import Lock

from django.db import connection

from chat import wire
from chat.announcements import aannounce_message
from chat.batches import MessageDraft
from chat.messages.reading import messages_by_id
from chat.messages.sending import Outcome, Sent, messages_send
from chat.unannounced import Unannounced
from chat.writer import MessageWriter, MessageWriters
from realtime import Node, Owner, Publisher, RequestError, node_task

logger = logging.getLogger(__name__)

# The owner of the database work that stores a tenant's messages. It is not one user's work.
WRITER = "chat.writer"


@node_task("chat.unannounced")
async def announce_what_was_left(node: Node) -> None:
    """Announce messages that a killed process stored and did not announce."""
    await unannounced_of(node).run()


def writers_of(node: Node) -> MessageWriters:
    """Return the node's writers. They are created at its first message."""
    return node.shared(MessageWriters, lambda: _make(node))


def unannounced_of(node: Node) -> Unannounced:
    """Return what the node knows of announced messages."""

    async def announce(message_ids: Collection[int]) -> None:
        for tenant, message in await node.background.run(messages_by_id, message_ids):
            try:
                await aannounce_message(node, tenant, _publisher(message.author), message)
            except RequestError as refused:
                logger.error("Message %d cannot be announced: %s", message.id, refused.message)  # noqa: TRY400

    return node.shared(Unannounced, lambda: Unannounced(node, announce))


def _publisher(author: wire.Author) -> Publisher | None:
    return None if author.id is None or author.username is None else Publisher(author.id, author.username)


def _make(node: Node) -> MessageWriters:
    # SQLite allows one writer, and others would wait by polling.
    turn = nullcontext() if connection.features.has_select_for_update else Lock()

    def store(drafts: Sequence[MessageDraft]) -> list[Outcome]:
        with turn:
            return messages_send(drafts)

    async def announce(sent: Sequence[Sent]) -> None:
        # After what the room's topic lacks, in the order of their numbers. If it fails, the sweep announces the rest.
        unannounced, (tenant, first) = unannounced_of(node), (sent[0].draft.tenant.slug, sent[0].message)
        await unannounced.fill(tenant, first.room_id, first.seq)
        for each in sent:
            await aannounce_message(node, tenant, each.draft.author, each.message)
            unannounced.announced(first.room_id, each.message.seq)

    return MessageWriters(
        lambda: MessageWriter(
            lambda drafts: node.database.run_for(Owner(drafts[0].tenant.slug, WRITER), store, drafts),
            announce,
            node.spawn,
        )
    )
