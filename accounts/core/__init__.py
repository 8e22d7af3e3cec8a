"""Decisions on plain values: host names, scopes, displayed texts. They need no database."""
