"""Work in threads that takes turns with the loop of a world: while one runs the other waits, so a run can be repeated."""

import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from realtime.testing.loop import SimulatedLoop, StuckError

T = TypeVar("T")

# Real seconds that a piece of work may take.
JOB_S = 30.0


class Job:
    """One piece of work."""

    def __init__(self, work: Callable[[], Any]) -> None:
        self.done: Future[Any] = Future()
        # The next work of the loop: a coroutine, or None when all work is done.
        self.asked: SimpleQueue[Coroutine[Any, Any, Any] | None] = SimpleQueue()
        self.answers: SimpleQueue[Future[Any]] = SimpleQueue()
        self._work = work

    def run(self) -> None:
        """Do the work. Runs in a thread."""
        _Thread.job = self
        try:
            self.done.set_result(self._work())
        except BaseException as error:
            self.done.set_exception(error)
        finally:
            _Thread.job = None
            self.asked.put(None)

    def ask(self, work: Coroutine[Any, Any, T]) -> "Future[T]":
        """Let the loop run `work`, and wait until it is done. Called by the work, in its thread."""
        self.asked.put(work)
        return self.answers.get()


class _Worker:
    """A thread that does one piece of work after the other."""

    def __init__(self, prepare: Callable[[], Any]) -> None:
        self.jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._prepare = prepare
        threading.Thread(target=self._run, name="realtime-world", daemon=True).start()

    def _run(self) -> None:
        self._prepare()
        while (job := self.jobs.get()) is not None:
            job.run()


class _OfThread(threading.local):
    job: Job | None = None


_Thread = _OfThread()


def current_job() -> Job | None:
    """Return the work that runs in this thread."""
    return _Thread.job


class Jobs:
    """Implements `Threads` for a world. `prepare` is called in each thread before its first work."""

    def __init__(self, prepare: Callable[[], Any]) -> None:
        self.loop: SimulatedLoop | None = None
        self._prepare = prepare
        self._idle: list[_Worker] = []

    def run(self, work: Callable[[], T]) -> T:
        """As `Threads.run`; the work may ask for coroutines, which run on the loop meanwhile."""
        job = Job(work)
        worker = self._idle.pop() if self._idle else _Worker(self._prepare)
        worker.jobs.put(job)
        while (asked := self._next(job)) is not None:
            job.answers.put(self._answer(asked))
        self._idle.append(worker)
        result: T = job.done.result()
        return result

    def close(self) -> None:
        """End the threads."""
        for worker in self._idle:
            worker.jobs.put(None)

    def _next(self, job: Job) -> Coroutine[Any, Any, Any] | None:
        try:
            return job.asked.get(timeout=JOB_S)
        except Empty:
            raise StuckError(f"Work in a thread has not ended within {JOB_S:g} s.") from None

    def _answer(self, asked: Coroutine[Any, Any, Any]) -> Future[Any]:
        assert self.loop is not None
        answer: Future[Any] = Future()
        try:
            answer.set_result(self.loop.run_inside(asked))
        except Exception as error:
            answer.set_exception(error)
        return answer
