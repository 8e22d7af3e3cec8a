"""An exception that nothing caught is a line of the log."""

import logging
import sys
import threading
import warnings

import pytest

from realtime.server.uncaught import log_uncaught


@pytest.fixture(autouse=True)
def _as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)
    monkeypatch.setattr(logging, "_warnings_showwarning", None)


def test_errors_of_threads_and_of_the_process_and_warnings(caplog: pytest.LogCaptureFixture) -> None:
    log_uncaught()
    thread = threading.Thread(target=lambda: 1 / 0, name="sweeper")
    thread.start()
    thread.join()
    error = ValueError("no")
    sys.excepthook(ValueError, error, None)
    warnings.showwarning(UserWarning("careful"), UserWarning, "x.py", 1)
    thread_line, process_line, warning = caplog.records
    assert "sweeper" in thread_line.message
    assert thread_line.exc_info is not None
    assert process_line.exc_info == (ValueError, error, None)
    assert (warning.name, "careful" in warning.getMessage()) == ("py.warnings", True)


def test_an_interrupt_is_no_error(
    caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    log_uncaught()
    sys.excepthook(KeyboardInterrupt, KeyboardInterrupt(), None)
    assert not caplog.records
    assert "KeyboardInterrupt" in capsys.readouterr().err
