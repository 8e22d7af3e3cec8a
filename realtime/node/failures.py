"""Turns the exception of a handler into the error that the client is sent."""

import logging

from django.db import OperationalError

from realtime.protocol.errors import ErrorCode, PublishUnavailableError, RequestError, internal_error
from realtime.topics.engine.ports import EngineUnavailableError

logger = logging.getLogger(__name__)


def request_error(error: Exception, connection_id: str) -> RequestError:
    """The error to answer with. An unexpected exception is logged here, once, with the connection's id."""
    if isinstance(error, RequestError):
        return error
    if isinstance(error, EngineUnavailableError | PublishUnavailableError):
        return RequestError(ErrorCode.TIMEOUT, "The broker cannot be reached now; try again.")
    if isinstance(error, OperationalError):
        # Its text says why: unreachable, disk full, or locked for too long.
        logger.error("The database failed a handler on connection %s: %s", connection_id, error)
        return RequestError(ErrorCode.TIMEOUT, "The database cannot be reached now; try again.")
    logger.error("A handler failed on connection %s", connection_id, exc_info=error)
    return internal_error(connection_id)
