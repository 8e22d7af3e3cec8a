"""Consumers: each one serves a connection. JSON consumers have a table of verbs."""
