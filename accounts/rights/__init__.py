"""Revocations of rights that a change takes away: written with it and announced after the commit."""
