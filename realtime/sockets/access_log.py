"""The access log: one line when a socket opens, closes or is refused, and one for each HTTP answer."""

import logging
from collections.abc import Mapping
from typing import Any

access_log = logging.getLogger("realtime.access")


def log_access(event: Mapping[str, Any]) -> None:
    """Log `event`, fields by name, at INFO. As `access_log.info`, without searching the stack for the caller."""
    if access_log.isEnabledFor(logging.INFO):
        code = log_access.__code__
        record = access_log.makeRecord(
            access_log.name,
            logging.INFO,
            code.co_filename,
            code.co_firstlineno,
            event,
            (),
            None,
            code.co_name,
        )
        access_log.handle(record)
