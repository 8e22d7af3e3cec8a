"""Pure-ASGI classes in front of every consumer, each adding one thing to the scope or refusing.

Those that need not wait are plain functions that return the next application's awaitable: a frame that only waits for
the one below it costs every idle connection half a KiB.
"""
