"""The chat: rooms, messages and who may see them."""
