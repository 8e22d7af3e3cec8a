"""Rooms: their members, rights and names."""
