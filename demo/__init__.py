"""The demo: a table to query, and the command `seed_demo`."""
