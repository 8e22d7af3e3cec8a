"""The wire protocol as values: envelope and codec, error and close codes, names. No Django,
no asyncio, no clock."""
