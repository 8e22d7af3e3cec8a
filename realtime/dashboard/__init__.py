"""The live page in Django's admin, and what feeds it."""
