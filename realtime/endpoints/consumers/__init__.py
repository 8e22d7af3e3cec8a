"""Consumers: each one serves a connection. Raw consumers handle frames; JSON consumers have a table of verbs."""
