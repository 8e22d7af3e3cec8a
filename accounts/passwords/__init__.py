"""Hashing passwords in threads of their own, and limits on guessing them."""
