"""What is in log lines, and what never is."""

import json
import logging
import logging.handlers
import queue
from time import monotonic
from types import SimpleNamespace
from typing import Any

import pytest

from realtime.core.identity import CredentialKind, Identity, Tenant
from realtime.node.logs import redact
from realtime.node.observer import Observer, access_log
from realtime.protocol.close_codes import CloseCode
from realtime.sockets.metrics import Metrics

TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJ1c2VyX2lkIjoxfQ.c2lnbmF0dXJl"


@pytest.mark.parametrize(
    ("line", "clean"),
    [
        (f"refused {TOKEN}", "refused ***"),
        ("GET /ws/?token=abc&x=1", "GET /ws/?token=***&x=1"),
        ("GET /ws/?ticket=abc", "GET /ws/?ticket=***"),
        ("cookie: sessionid=abc; a=b", "cookie: sessionid=***; a=b"),
        ("Authorization: Bearer abc", "Authorization: Bearer ***"),
        ("rockstar.v1, bearer.abc", "rockstar.v1, bearer.***"),
        ('{"event": "open", "user": 7}', '{"event": "open", "user": 7}'),
    ],
)
def test_credentials_are_replaced(line: str, clean: str) -> None:
    assert redact(line) == clean


@pytest.mark.parametrize("odd", ["plain", 'quo"ted \\ and\n new', "snow ☃ 𝄞", ""])
@pytest.mark.parametrize("user_id", [None, 7])
def test_a_line_of_the_access_log_is_what_json_dumps_makes(
    monkeypatch: pytest.MonkeyPatch, odd: str, user_id: int | None
) -> None:
    lines: queue.SimpleQueue[logging.LogRecord] = queue.SimpleQueue()
    monkeypatch.setattr(access_log, "handlers", [logging.handlers.QueueHandler(lines)])
    metrics = Metrics()
    connection: Any = SimpleNamespace(
        id="c1",
        tenant=Tenant(1, odd),
        identity=user_id and Identity(user_id, odd, odd, frozenset(), CredentialKind.TOKEN),
        route=odd,
        remote_addr=odd,
        close_reason=odd,
        is_closing=False,
        opened_s=monotonic() - 1.5,
        messages_in=2,
        messages_out=3,
        metrics=metrics.route(odd, odd),
        outbox=SimpleNamespace(dropped=0),
    )
    who = {"connection_id": "c1", "tenant": odd, "user": user_id, "path": odd}
    observer = Observer(metrics)
    observer.opened(connection)
    observer.closed(connection, CloseCode.TIMEOUT)
    opened, closed = (lines.get_nowait().getMessage() for _ in range(2))
    assert lines.empty()
    # Nobody closed it here, so it was the heartbeat.
    assert metrics.pings_lost == 1
    assert opened == json.dumps({"event": "open", **who, "remote_addr": odd})
    told = json.loads(closed)
    assert closed == json.dumps(told)
    assert told.pop("seconds") == pytest.approx(1.5, abs=0.5)
    counts = {"messages_in": 2, "messages_out": 3}
    assert told == {"event": "close", **who, "code": 4408, "reason": odd, **counts}
