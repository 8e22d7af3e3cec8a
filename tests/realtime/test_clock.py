"""The time of day on the wire."""

import re
from datetime import UTC, datetime, timedelta
from time import time_ns

from realtime.protocol.codec import time_text

A_MS = timedelta(milliseconds=1)


def test_it_is_iso_8601_in_utc_with_milliseconds() -> None:
    for _ in range(50):
        before = datetime.now(UTC)
        text = time_text(time_ns())
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", text)
        assert before - A_MS < datetime.fromisoformat(text) <= datetime.now(UTC)
