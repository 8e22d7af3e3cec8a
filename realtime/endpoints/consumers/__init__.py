"""Consumers: sets of verbs over one connection, one idea a file."""
