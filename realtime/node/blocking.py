"""In development, names the handlers that hold the event loop: while one does, no other socket is served."""

import logging
from collections.abc import Awaitable, Callable, Generator, Iterator
from contextlib import contextmanager
from functools import partial
from inspect import iscoroutine
from time import monotonic
from typing import Any, ParamSpec, TypeVar

from realtime.sockets.labels import Labelled, label

logger = logging.getLogger(__name__)

P = ParamSpec("P")
R = TypeVar("R")

# A handler that holds the loop for longer than this between two awaits is named, in seconds.
BLOCKS_AFTER_S = 0.1


class BlockWatch:
    """Measures each step of a handler, from one await to the next. A node has one if DEBUG is on."""

    def __init__(self, limit_s: float = BLOCKS_AFTER_S) -> None:
        self._limit_s = limit_s

    @contextmanager
    def step(self, what: str, connection: Labelled) -> Iterator[None]:
        """Measure the block, which contains no await; `what` begins the log line."""
        began_s = monotonic()
        try:
            yield
        finally:
            took_s = monotonic() - began_s
            if took_s > self._limit_s:
                logger.warning(
                    "%s held the event loop for %.2f s on %s. No other socket was served meanwhile: await, use "
                    "call.in_db(), or make a method a plain function, which runs in a thread.",
                    what,
                    took_s,
                    label(connection),
                )

    def plain(self, function: Callable[P, R], what: str, connection: Labelled) -> Callable[P, R]:
        """Return `function`, measured at each call."""

        def measured(*args: P.args, **kwargs: P.kwargs) -> R:
            with self.step(what, connection):
                return function(*args, **kwargs)

        return measured

    def handler(
        self, handle: Callable[P, Awaitable[R]], what: str, connection: Labelled
    ) -> Callable[P, Awaitable[R]]:
        """Return a handler whose call and whose steps are measured."""

        def measured(*args: P.args, **kwargs: P.kwargs) -> Awaitable[R]:
            with self.step(what, connection):
                handling = handle(*args, **kwargs)
            # A result that is not a coroutine has done its work by now. It stays as it is, because callers
            # may check its type.
            return self.work(handling, what, connection) if iscoroutine(handling) else handling

        return measured

    def work(self, work: Awaitable[R], what: str, connection: Labelled) -> Awaitable[R]:
        """Return `work`, whose steps are measured when it is awaited."""
        return _Measured(work, partial(self.step, what, connection))


class _Measured(Awaitable[R]):
    """Drives an awaitable as `await` does (PEP 380), and measures each step."""

    def __init__(self, work: Awaitable[R], step: Callable[[], Any]) -> None:
        self._work = work
        self._step = step

    def __await__(self) -> Generator[Any, Any, R]:
        steps = _awaited(self._work).__await__()
        go_on: Callable[[], Any] = partial(steps.send, None)
        while True:
            with self._step():
                try:
                    waits_for = go_on()
                except StopIteration as end:
                    result: R = end.value
                    return result
            try:
                yield waits_for
                go_on = partial(steps.send, None)
            except BaseException as error:
                go_on = partial(steps.throw, error)


async def _awaited(work: Awaitable[R]) -> R:
    return await work
