"""One socket: its connection, subscriptions, outbox and prepared messages."""
