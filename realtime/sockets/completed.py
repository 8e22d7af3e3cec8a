"""An awaitable for work that is already done. Returning it avoids making a coroutine for every message."""

from collections.abc import Awaitable, Generator
from typing import Any


class _Completed:
    __slots__ = ()

    def __await__(self) -> Generator[Any, Any, None]:
        yield from ()


# Returned in place of a coroutine. A caller can check `is COMPLETED` to skip the await.
COMPLETED: Awaitable[None] = _Completed()
