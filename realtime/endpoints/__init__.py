"""Endpoints: consumers, verbs, calls, routes, and what apps declare (RPC methods, streams, live queries)."""
