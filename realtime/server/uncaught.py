"""Exceptions that nothing caught, and warnings, go to the log: one event is one line."""

import logging
import sys
import threading
from types import TracebackType

logger = logging.getLogger(__name__)


def log_uncaught() -> None:
    """Log warnings of Python, and exceptions that end the process or a thread, instead of printing them.

    Called once in each process of `serve`.
    """
    logging.captureWarnings(True)
    sys.excepthook = _process_failed
    threading.excepthook = _thread_failed


def _process_failed(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, Exception):
        logger.critical("The process ends by an error", exc_info=(kind, error, trace))
    else:
        sys.__excepthook__(kind, error, trace)


def _thread_failed(failed: threading.ExceptHookArgs) -> None:
    error = failed.exc_value
    if error is not None and not isinstance(error, SystemExit):
        name = "?" if failed.thread is None else failed.thread.name
        logger.error("The thread %s ended by an error", name, exc_info=error)
