"""What the chat runs in every node."""

from chat.writers import unannounced_of
from realtime import Node, node_task


@node_task("chat.unannounced")
async def announce_what_was_left(node: Node) -> None:
    """Announce messages that a killed process stored and did not announce."""
    await unannounced_of(node).run()
