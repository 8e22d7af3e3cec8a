"""Rooms and messages, on realtime's public face only."""
