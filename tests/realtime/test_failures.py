"""What a client is told of a handler that failed, and what is logged."""

import pytest
from django.db import OperationalError

from realtime.node.failures import request_error
from realtime.protocol.errors import ErrorCode, RequestError
from realtime.topics.engine.ports import EngineUnavailableError


@pytest.mark.parametrize(
    ("failure", "code", "logged"),
    [
        (RequestError(ErrorCode.CONFLICT, "Taken."), ErrorCode.CONFLICT, ""),
        (EngineUnavailableError("away"), ErrorCode.TIMEOUT, ""),
        (OperationalError("connection refused"), ErrorCode.TIMEOUT, "connection refused"),
        (ZeroDivisionError("1 / 0"), ErrorCode.INTERNAL, "ZeroDivisionError"),
    ],
)
def test_failures(failure: Exception, code: ErrorCode, logged: str, caplog: pytest.LogCaptureFixture) -> None:
    error = request_error(failure, "c1")
    assert error.code == code
    assert logged in caplog.text
    assert bool(caplog.records) == bool(logged)
    assert any(record.exc_info for record in caplog.records) == (code == ErrorCode.INTERNAL)
