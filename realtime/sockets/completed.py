"""What is to be awaited where there is nothing to wait for: a coroutine that says so would cost 2 µs a message."""

from collections.abc import Awaitable, Generator
from typing import Any


class _Completed:
    __slots__ = ()

    def __await__(self) -> Generator[Any, Any, None]:
        yield from ()


# Returned in the place of a coroutine by what is over already; whoever can spare the awaiting asks `is COMPLETED`.
COMPLETED: Awaitable[None] = _Completed()
