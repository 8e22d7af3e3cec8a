"""Rooms and messages. Uses only the public API of `realtime`."""
