"""Decisions on plain values: no Django, no asyncio, no clock; time comes in as an argument."""
