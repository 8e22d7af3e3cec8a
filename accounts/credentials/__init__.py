"""Credentials: tokens, tickets and sessions. They are issued, verified, refreshed and deleted here."""
