"""Pure ASGI middleware in front of every consumer. Each class adds to the scope or refuses the connection.

A class that does not need to wait has a plain `__call__` that returns the awaitable of the next application.
A coroutine there would stay in memory as long as the connection does.
"""
