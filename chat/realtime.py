"""The chat's objects in every node: the message writers, and the task that announces messages left by killed processes."""

from collections.abc import Sequence
from contextlib import nullcontext
from threading import Lock

from django.db import connection

from chat import wire
from chat.announcements import aannounce_message
from chat.batches import MessageDraft
from chat.messages.sending import Outcome, messages_send
from chat.unannounced import Unannounced
from chat.writer import MessageWriter, MessageWriters
from realtime import Node, Owner, Tenant, node_task

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
    return node.shared(Unannounced, lambda: Unannounced(node))


def _make(node: Node) -> MessageWriters:
    # SQLite allows one writer, and others would wait by polling.
    turn = nullcontext() if connection.features.has_select_for_update else Lock()

    def store(drafts: Sequence[MessageDraft]) -> list[Outcome]:
        with turn:
            return messages_send(drafts)

    def writer(tenant: Tenant) -> MessageWriter:
        async def announce(messages: Sequence[wire.Message]) -> None:
            # After what the room's topic lacks, in the order of their numbers. If it fails, the sweep announces the rest.
            unannounced, first = unannounced_of(node), messages[0]
            await unannounced.fill(tenant.slug, first.room_id, first.seq)
            for message in messages:
                await aannounce_message(node, tenant.slug, message)
                unannounced.announced(message.room_id, message.seq)

        owner = Owner(tenant.slug, WRITER)
        return MessageWriter(lambda drafts: node.database.run_for(owner, store, drafts), announce, node.spawn)

    return MessageWriters(writer)
