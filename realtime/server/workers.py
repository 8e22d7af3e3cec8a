"""Several worker processes, started again when they end."""

import logging
import signal

from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors import Multiprocess
from uvicorn.supervisors.multiprocess import Process

logger = logging.getLogger(__name__)

# How a worker ends that was told to.
ENDED_WELL = frozenset({0, -signal.SIGTERM, -signal.SIGINT})


class Workers(Multiprocess):
    """Uvicorn's supervisor, which also says how a worker ended."""

    @property
    def has_failed(self) -> bool:
        """Whether a worker could not start. Then all of them end."""
        return any(process.exitcode == STARTUP_FAILURE for process in self.processes)

    def keep_subprocess_alive(self) -> None:
        """Replace workers that ended, and log each with its pid and its exit code or signal."""
        before = list(self.processes)
        super().keep_subprocess_alive()
        for old, new in zip(before, self.processes, strict=True):
            if new is not old:
                logger.error("Worker %s %s; worker %s replaces it", old.pid, ending(old.exitcode), new.pid)

    def join_all(self) -> None:
        """Wait for the workers to end."""
        super().join_all()
        for process in self.processes:
            self._tell_bad_end(process)

    def _tell_bad_end(self, process: Process) -> None:
        # Uvicorn itself names a worker that could not start.
        if process.exitcode not in ENDED_WELL | {STARTUP_FAILURE}:
            logger.error("Worker %s %s", process.pid, ending(process.exitcode))


def ending(code: int | None) -> str:
    """Say in words how a process ended: `code` is its exit code, or the negative number of a signal."""
    if code is None or code >= 0:
        return f"ended with exit code {code}"
    name = signal.Signals(-code).name if -code in set(signal.Signals) else "unknown"
    return f"was ended by signal {-code} ({name})"
