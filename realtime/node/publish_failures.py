"""Failures to reach the sockets after a commit: they are logged, counted and reported, never raised.

The data is committed by then, and the caller can do nothing about a broker that is away.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from asgiref.sync import iscoroutinefunction
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

from realtime.protocol.errors import RealtimeError
from realtime.sockets.metrics import Metrics

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PublishFailure:
    """The argument of the function that `REALTIME["PUBLISH_ERRORS"]` names.

    `action` is `publish`, `end_subscriptions`, `rewrite_history` or `recheck`; the last has no `tenant` and no `topic`.
    """

    action: str
    tenant: str
    topic: str
    error: Exception


Reporter = Callable[[PublishFailure], Any]


def load_reporter(path: str) -> Reporter | None:
    """Return the function that PUBLISH_ERRORS names; None if it is empty.

    Raises ImproperlyConfigured if it names no plain function.
    """
    if not path:
        return None
    try:
        found: Reporter = import_string(path)
    except ImportError as error:
        raise ImproperlyConfigured(f"REALTIME: PUBLISH_ERRORS cannot be imported: {error}.") from error
    if not callable(found) or iscoroutinefunction(found):
        raise ImproperlyConfigured(f"REALTIME: PUBLISH_ERRORS names {path}, which is not a plain function.")
    return found


def report(
    failure: PublishFailure,
    metrics: Metrics,
    path: str,
    in_thread: Callable[[Callable[[], None]], object] | None = None,
) -> None:
    """Report a failure to the log, the metrics and the function of PUBLISH_ERRORS; never raises.

    The function may use the database. On the loop `in_thread` has a thread call it; None: this thread calls it.
    """
    error = failure.error
    logger.error(
        "%s of topic %r of tenant %r failed after the commit: %s",
        failure.action,
        failure.topic,
        failure.tenant,
        error,
        # An error that is raised on purpose needs no traceback.
        exc_info=None if isinstance(error, RealtimeError) else error,
    )
    metrics.publish_failed(failure.tenant)
    if not path:
        return
    if in_thread is None:
        _tell(path, failure)
    else:
        in_thread(partial(_tell, path, failure))


def _tell(path: str, failure: PublishFailure) -> None:
    try:
        if reporter := load_reporter(path):
            reporter(failure)
    except Exception:
        logger.exception("The function of PUBLISH_ERRORS failed")
