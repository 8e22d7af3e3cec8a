"""Decisions on plain values: no Django, no asyncio, no clock. The time is an argument."""
