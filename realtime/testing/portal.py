"""The tools of this package in synchronous tests: their event loop runs in a thread of its own."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, suppress
from functools import wraps
from inspect import isasyncgenfunction, iscoroutinefunction
from types import TracebackType
from typing import Any, Generic, TypeVar

from realtime.testing.database import Connections, own_connections

T = TypeVar("T")

# Seconds that a call of a synchronous test may take.
CALL_S = 30.0


class Portal:
    """An event loop in a thread, with the database connections of the thread that made it."""

    current: "Portal | None" = None

    def __init__(self) -> None:
        self.connections: Connections = own_connections()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="realtime-test-loop", daemon=True)
        self._thread.start()

    def run(self, work: Awaitable[T]) -> T:
        """Run `work` on the loop and return its result; raises what it raises."""

        async def run() -> T:
            return await work

        return asyncio.run_coroutine_threadsafe(run(), self._loop).result(CALL_S)

    def close(self) -> None:
        """End the loop and its thread."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(CALL_S)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
            self._loop.run_until_complete(self._loop.shutdown_default_executor())
        finally:
            self._loop.close()


class Opening(Generic[T]):
    """Opens with `async with`, and in a synchronous test with `with`: then its methods need no `await`."""

    def __init__(self, make: Callable[[], AbstractAsyncContextManager[T]]) -> None:
        self._opened = make()
        self._own: Portal | None = None

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(
            f"`{name}` is there once it is open: use `with` or `async with`, as in `with connect() as socket:`."
        )

    async def __aenter__(self) -> T:
        return await self._opened.__aenter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        return await self._opened.__aexit__(kind, error, trace)

    def __enter__(self) -> Any:
        _refuse_on_loop()
        if Portal.current is None:
            Portal.current = self._own = Portal()
        try:
            return _blocking(Portal.current, Portal.current.run(_entered(self._opened)))
        except BaseException:
            self._end()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert Portal.current is not None
        try:
            Portal.current.run(_exited(self._opened, error))
        finally:
            self._end()

    def _end(self) -> None:
        if self._own is not None:
            self._own.close()
            self._own = Portal.current = None


class Blocking:
    """An object whose methods that are coroutine functions block until they are done."""

    # pytest would take some of them for a class of tests.
    __test__ = False

    def __init__(self, portal: Portal, wrapped: Any) -> None:
        self._portal = portal
        self._wrapped = wrapped

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._wrapped, name)
        if isasyncgenfunction(value):
            return lambda *args, **kwargs: self._iterated(value(*args, **kwargs))
        if not iscoroutinefunction(value):
            return value

        @wraps(value)
        def call(*args: Any, **kwargs: Any) -> Any:
            return self._portal.run(value(*args, **kwargs))

        return call

    def _iterated(self, values: AsyncGenerator[Any, None]) -> Iterator[Any]:
        try:
            with suppress(StopAsyncIteration):
                while True:
                    yield self._portal.run(anext(values))
        finally:
            self._portal.run(values.aclose())


def _blocking(portal: Portal, value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(_blocking(portal, each) for each in value)
    return Blocking(portal, value)


async def _entered(opened: AbstractAsyncContextManager[T]) -> T:
    return await opened.__aenter__()


async def _exited(opened: AbstractAsyncContextManager[Any], error: BaseException | None) -> None:
    # The error is raised in the test anyway.
    await opened.__aexit__(type(error) if error else None, error, None)


def _refuse_on_loop() -> None:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise RuntimeError("Write `async with` in a test that runs on an event loop.")
