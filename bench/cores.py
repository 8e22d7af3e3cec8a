"""Which core does what."""

SERVER_CORE = 0
# The load generator, and whatever else is not the server: its database, its broker, a profiler.
LOAD_CORE = 1
