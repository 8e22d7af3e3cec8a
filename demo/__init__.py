"""The demo: a table to query, and `seed_demo`."""
