"""An event loop without a wall clock: if nothing is ready it jumps to the next timer. It has no I/O.

As asyncio promises, callbacks run in the order they were asked for; timers of one moment too, in that order.
"""
# ruff: noqa: SLF001 a loop of its own replaces private parts of asyncio's

import asyncio
import contextvars
import heapq
from collections.abc import Callable, Coroutine, Generator
from concurrent.futures import Executor
from itertools import count
from typing import Any, Protocol, TypeVar, TypeVarTuple

T = TypeVar("T")
Args = TypeVarTuple("Args")

# Turns of the loop at one moment of its time: above it the world does not move on.
MAX_TURNS_AT_A_MOMENT = 5_000
# All turns of a world: many times what any needs.
MAX_TURNS = 500_000


class StuckError(RuntimeError):
    """The world would never end: nothing is ready and no timer is set, or the time stands still."""


class Timekeeper(Protocol):
    """Holds the time that the loop tells and moves, in seconds."""

    now_s: float


class Threads(Protocol):
    """Does the work that is given to executors."""

    def run(self, work: Callable[[], T]) -> T:
        """Do it, and return when it is done."""
        ...


class Manual:
    """The time of one loop, which begins at 0."""

    def __init__(self) -> None:
        self.now_s = 0.0


# The owner (a node) of the code that runs now; tasks and callbacks inherit it.
OWNER: contextvars.ContextVar["Owner | None"] = contextvars.ContextVar("owner", default=None)


class Owner:
    """Knows the tasks that were created in its context."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.tasks: list[SimulatedTask] = []

    def run(self, call: Callable[[], Any]) -> Any:
        """Call in the owner's context."""
        context = contextvars.copy_context()
        context.run(OWNER.set, self)
        return context.run(call)

    def open_tasks(self) -> list["SimulatedTask"]:
        """Return the tasks that have not ended, in the order of their creation."""
        self.tasks = [task for task in self.tasks if not task.done() or has_unseen_failure(task)]
        return [task for task in self.tasks if not task.done()]

    def unseen_failures(self) -> list[BaseException]:
        """Return the errors of tasks whose result nobody has asked for."""
        return [error for task in self.tasks if has_unseen_failure(task) and (error := task.exception())]


class SimulatedTask(asyncio.Task[Any]):
    """A task whose hash is its number: sets of tasks have the same order in every run."""

    def __init__(
        self, coro: Coroutine[Any, Any, Any] | Generator[Any, None, Any], *, number: int, **kwargs: Any
    ) -> None:
        self.number = number
        super().__init__(coro, **kwargs)

    def __hash__(self) -> int:
        return self.number

    def __eq__(self, other: object) -> bool:
        return self is other


class SimulatedLoop(asyncio.BaseEventLoop):
    """The loop of one world. It moves `clock`. Without `threads`, work in threads is an error."""

    def __init__(self, clock: Timekeeper | None = None, threads: Threads | None = None) -> None:
        super().__init__()
        self.threads = threads
        self.clock: Timekeeper = clock or Manual()
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._numbers = count(1)
        # The turns at this moment, and all turns.
        self._turns = 0
        self.turns = 0
        self.set_task_factory(self._new_task)

    def time(self) -> float:
        """Return the time of the clock, in seconds."""
        return self.clock.now_s

    def call_later(
        self,
        delay: float,
        callback: Callable[[*Args], object],
        *args: *Args,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        """As in asyncio; a delay of 0 comes after all that is ready now."""
        return self.call_at(self.clock.now_s + delay, callback, *args, context=context)

    def call_at(
        self,
        when: float,
        callback: Callable[[*Args], object],
        *args: *Args,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        """As in asyncio; timers of one moment run in the order they were set."""
        self._check_closed()  # type: ignore[attr-defined] # asyncio's own
        timer = asyncio.TimerHandle(when, callback, args, self, context)
        heapq.heappush(self._timers, (when, next(self._numbers), timer))
        return timer

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[*Args], T], *args: *Args
    ) -> asyncio.Future[T]:
        """Do the work at once, in a thread, while the loop waits for it."""
        if self.threads is None:
            raise StuckError(f"A world has no threads; {func!r} wants one.")
        future: asyncio.Future[T] = self.create_future()
        try:
            future.set_result(self.threads.run(lambda: func(*args)))
        except StuckError:
            raise
        except Exception as error:
            future.set_exception(error)
        return future

    def run_inside(self, work: Coroutine[Any, Any, T]) -> T:
        """Run `work` to its end, and meanwhile everything else, while a callback of this loop waits for it."""
        waiting = asyncio.current_task(self)
        if waiting is not None:
            asyncio._leave_task(self, waiting)
        try:
            task = self.create_task(work)
            while not task.done():
                self._run_once()
            return task.result()
        finally:
            if waiting is not None:
                asyncio._enter_task(self, waiting)

    def _new_task(
        self,
        loop: asyncio.AbstractEventLoop,
        coro: Coroutine[Any, Any, Any] | Generator[Any, None, Any],
        /,
        **kwargs: Any,
    ) -> SimulatedTask:
        task = SimulatedTask(coro, number=next(self._numbers), loop=loop, **kwargs)
        owner = OWNER.get()
        if owner is not None:
            owner.tasks.append(task)
        return task

    def _run_once(self) -> None:
        ready, timers = self._ready, self._timers  # type: ignore[attr-defined] # asyncio's own
        if not ready:
            self._jump()
        while timers and timers[0][0] <= self.clock.now_s:
            ready.append(heapq.heappop(timers)[2])
        self._turns += 1
        self.turns += 1
        if self._turns > MAX_TURNS_AT_A_MOMENT:
            raise StuckError(f"The time stands still at {self.clock.now_s} s: {ready[0]!r}")
        if self.turns > MAX_TURNS:
            raise StuckError(f"The world does not end; it is {self.clock.now_s} s: {ready[0]!r}")
        for _ in range(len(ready)):
            if not ready:
                # `run_inside` has run the rest.
                return
            handle = ready.popleft()
            if not handle._cancelled:
                handle._run()

    def _jump(self) -> None:
        timers = self._timers
        while timers and timers[0][2]._cancelled:
            heapq.heappop(timers)
        if not timers:
            raise StuckError("Nothing is ready and no timer is set.")
        if timers[0][0] > self.clock.now_s:
            self.clock.now_s = timers[0][0]
            self._turns = 0

    # What the base class asks of a loop with a selector.

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """Do nothing: it is passed over when its time comes."""

    def _write_to_self(self) -> None:
        """Do nothing: the loop never sleeps."""


def has_unseen_failure(task: "asyncio.Task[Any]") -> bool:
    """Return whether it ended with an exception that nobody has asked for."""
    return task.done() and not task.cancelled() and bool(task._log_traceback)


def run(world: Coroutine[Any, Any, Any], clock: Timekeeper | None = None) -> Any:
    """Run it to its end on a loop of its own."""
    loop = SimulatedLoop(clock)
    try:
        return loop.run_until_complete(world)
    finally:
        abandon(loop)


def abandon(loop: SimulatedLoop) -> None:
    """Close the loop, and leave what still waits on it."""
    for task in asyncio.all_tasks(loop):
        task._log_destroy_pending = False  # type: ignore[attr-defined] # asyncio's own
    loop.close()
