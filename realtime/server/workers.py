"""Several worker processes, started again when they end, and replaced one by one on SIGHUP."""

import logging
import multiprocessing
import os
import pickle
import signal
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from socket import socket

from uvicorn import Config
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors import Multiprocess
from uvicorn.supervisors.multiprocess import Process

from realtime.core.figures import RESTARTS, WORKER
from realtime.server.retiring import RETIRE_GRACE_S, RETIRE_SIGNAL, START_TIMEOUT_S, RetiringServer
from realtime.server.uncaught import log_uncaught

logger = logging.getLogger(__name__)

# The exit codes of workers that were told to end.
ENDED_WELL = frozenset({0, -signal.SIGTERM, -signal.SIGINT})
# Seconds to wait for a worker's answer whether it serves.
ANSWER_S = 0.05
# Seconds that a worker may take to end after its drain; then it is killed.
END_TIMEOUT_S = 30.0


class Worker(Process):
    """A process that serves. It ends by itself when its supervisor is gone.

    `number` counts the workers from 0; one that replaces another has the same. `restarts` is how often a worker of
    this number was started because the one before had ended.
    """

    def __init__(self, config: Config, sockets: list[socket], number: int = 0, restarts: int = 0) -> None:
        super().__init__(config, sockets)
        self.number = number
        self.restarts = restarts

    @property
    def server(self) -> RetiringServer:
        """The server, made in the process itself."""
        if self._server is None:
            self._server = RetiringServer(self.config)
        assert isinstance(self._server, RetiringServer)
        return self._server

    def target(self, sockets: list[socket] | None = None) -> None:
        """Serve until told to end. Only the supervisor handles a SIGHUP that is sent to all."""
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        log_uncaught()
        # For the figures, which name the worker.
        os.environ |= {WORKER: str(self.number), RESTARTS: str(self.restarts)}
        threading.Thread(target=_end_with_parent, daemon=True).start()
        super().target(sockets)

    def is_serving(self) -> bool:
        """Return whether it serves, by its newest answer. Earlier answers may be from before it could serve."""
        answer = False
        try:
            self.parent_conn.send(b"ping")
            while self.parent_conn.poll(ANSWER_S):
                answer = self.parent_conn.recv()
        except (OSError, EOFError, pickle.UnpicklingError):
            return False
        return answer

    def retire(self) -> None:
        """Tell it to stop listening, to drain and to end."""
        if self.pid is not None and self.exitcode is None:
            os.kill(self.pid, RETIRE_SIGNAL)


@dataclass(slots=True)
class _Replacement:
    old: Process
    new: Worker
    # Monotonic time at which it must serve.
    ends_s: float


@dataclass(slots=True)
class _Retired:
    worker: Process
    # Monotonic time at which it must have ended.
    ends_s: float


class Workers(Multiprocess):
    """Uvicorn's supervisor, which also says how a worker ended, and never waits for one that drains.

    On SIGHUP it starts a new worker with the current code. When that one serves, an old one stops listening
    and drains, and the next one is started. If a new one does not begin to serve, the old ones stay.

    `drain_s` is how long a worker drains; `running` are workers that serve already.
    """

    def __init__(
        self, config: Config, sockets: list[socket], *, drain_s: float, running: Sequence[Process] = ()
    ) -> None:
        super().__init__(config, sockets)
        self._drain_s = drain_s
        self.processes = list(running)
        self._to_replace: list[Process] = []
        self._coming: _Replacement | None = None
        self._retired: list[_Retired] = []
        # By the number of the worker.
        self._restarts: dict[int, int] = {}

    @property
    def has_failed(self) -> bool:
        """True if a worker could not start. Then all of them end."""
        return any(process.exitcode == STARTUP_FAILURE for process in self.processes)

    def init_processes(self) -> None:
        """Start the workers that do not run yet."""
        while len(self.processes) < self.processes_num:
            self.processes.append(self._start(len(self.processes)))

    def keep_subprocess_alive(self) -> None:
        """Replace workers that ended or hang, and continue the replacement that SIGHUP began."""
        for old in list(self.processes):
            if self.should_exit.is_set():
                return
            if not old.is_alive(timeout=self.config.timeout_worker_healthcheck):
                self._replace_ended(old)
        if not self.should_exit.is_set():
            self._end_retired()
            self._go_on_replacing()

    def handle_hup(self) -> None:
        """Replace all workers, one by one. A second SIGHUP begins anew."""
        self._give_up()
        self._to_replace = list(self.processes)

    def handle_ttin(self) -> None:
        """One worker more."""
        self.processes_num += 1
        self.processes.append(self._start(len(self.processes)))

    def handle_ttou(self) -> None:
        """One worker less, but never none."""
        if self.processes_num > 1:
            self.processes_num -= 1
            self._retire(self.processes.pop())

    def terminate_all(self) -> None:
        """Tell all workers to end. Those that drain already are not told again: that would cut the drain off."""
        super().terminate_all()
        if self._coming is not None:
            self._coming.new.terminate()

    def join_all(self) -> None:
        """Wait for the workers to end."""
        coming = [self._coming.new] if self._coming is not None else []
        for process in (*self.processes, *coming, *(each.worker for each in self._retired)):
            process.join()
            self._tell_bad_end(process)

    def _start(self, number: int) -> Worker:
        worker = Worker(self.config, self.sockets, number, self._restarts.get(number, 0))
        worker.start()
        return worker

    def _replace_ended(self, old: Process) -> None:
        old.kill()
        old.join()
        if old.exitcode == STARTUP_FAILURE and not self._has_other_than(old):
            # With the current code, every worker would fail.
            logger.error("Worker %s failed to start", old.pid)
            self.should_exit.set()
            return
        number = self.processes.index(old)
        self._restarts[number] = self._restarts.get(number, 0) + 1
        new = self.processes[number] = self._start(number)
        logger.error("Worker %s %s; worker %s replaces it", old.pid, ending(old.exitcode), new.pid)

    def _has_other_than(self, failed: Process) -> bool:
        others = [each for each in self.processes if isinstance(each, Worker) and each is not failed]
        return any(each.is_serving() for each in others)

    def _go_on_replacing(self) -> None:
        coming = self._coming
        if coming is None:
            # One that ended meanwhile has been replaced already.
            self._to_replace = [each for each in self._to_replace if each in self.processes]
            if self._to_replace:
                ends_s = time.monotonic() + START_TIMEOUT_S
                old = self._to_replace.pop(0)
                self._coming = _Replacement(old, self._start(self.processes.index(old)), ends_s)
        elif coming.new.is_serving():
            self._coming = None
            self._swap(coming)
        elif coming.new.exitcode is not None or time.monotonic() > coming.ends_s:
            pid, ended = coming.new.pid, ending(coming.new.exitcode)
            self._give_up()
            logger.error("The new worker %s did not begin to serve (%s); the old ones go on", pid, ended)

    def _swap(self, coming: _Replacement) -> None:
        if coming.old in self.processes:
            self.processes[self.processes.index(coming.old)] = coming.new
            logger.info("Worker %s replaces worker %s", coming.new.pid, coming.old.pid)
            self._retire(coming.old)
        else:
            self._retire(coming.new)

    def _give_up(self) -> None:
        """Replace no more workers, and end the one that was to come."""
        self._to_replace = []
        if self._coming is not None:
            self._coming.new.kill()
            self._coming.new.join()
            self._coming = None

    def _retire(self, worker: Process) -> None:
        assert isinstance(worker, Worker)
        worker.retire()
        self._retired.append(
            _Retired(worker, time.monotonic() + RETIRE_GRACE_S + self._drain_s + END_TIMEOUT_S)
        )

    def _end_retired(self) -> None:
        for each in list(self._retired):
            is_late = each.worker.exitcode is None and time.monotonic() > each.ends_s
            if is_late or each.worker.exitcode is not None:
                # It also closes the pipe.
                each.worker.kill()
                each.worker.join()
                self._retired.remove(each)
                self._tell_bad_end(each.worker)

    def _tell_bad_end(self, process: Process) -> None:
        # One that could not start has said why.
        if process.exitcode not in ENDED_WELL | {STARTUP_FAILURE}:
            logger.error("Worker %s %s", process.pid, ending(process.exitcode))


def ending(code: int | None) -> str:
    """Say in words how a process ended: `code` is its exit code, or the negative number of a signal."""
    if code is None:
        return "runs"
    if code >= 0:
        return f"ended with exit code {code}"
    name = signal.Signals(-code).name if -code in set(signal.Signals) else "unknown"
    return f"was ended by signal {-code} ({name})"


def _end_with_parent() -> None:
    """When the supervisor was killed, drain and end, so that no worker holds the port."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)
