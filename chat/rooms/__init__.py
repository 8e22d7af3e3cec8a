"""Rooms: who may do what in them, who is in them, and what they are called."""
