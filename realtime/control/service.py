"""Carries out the orders of operators and records them: the one way for every caller."""

import logging
from typing import Any

from django.db import InterfaceError, OperationalError

from realtime import tables
from realtime.control.link import Link, call
from realtime.control.orders import HANDLERS, Answer, Order
from realtime.node.database_faults import log_database_fault
from realtime.protocol.errors import ErrorCode, NotInForceError, RequestError, unavailable
from realtime.topics.engine.ports import EngineUnavailableError

logger = logging.getLogger(__name__)

AWAY = "The broker cannot be reached now, so this was not done."


async def carry_out(link: Link, order: Order) -> Answer:
    """Carry out an order on all nodes. Its entry in the audit log is written before it begins.

    Raises RequestError (permission_denied: the operator may not give this order), NotInForceError; Refusal(503) if
    the database cannot be reached: then nothing is done.
    """
    require_may(order)
    try:
        entry_id = await link.in_db(_begin, order)
    except (InterfaceError, OperationalError) as error:
        log_database_fault("The audit log", error)
        raise unavailable("busy", "The audit log cannot be written now.", retry_after_s=1) from error
    try:
        answer = await HANDLERS[order.name](link, order)
    except EngineUnavailableError as error:
        await _end(link, entry_id, outcome=tables.AuditEntry.Outcome.FAILED, error=AWAY)
        raise NotInForceError(AWAY) from error
    except (RequestError, NotInForceError) as error:
        await _end(
            link,
            entry_id,
            outcome=tables.AuditEntry.Outcome.FAILED,
            error=str(error)[: tables.REASON_MAX_CHARS],
        )
        raise
    except Exception:
        await _end(link, entry_id, outcome=tables.AuditEntry.Outcome.FAILED, error="internal error")
        raise
    await _end(link, entry_id, outcome=tables.AuditEntry.Outcome.DONE, count=answer.get("count"))
    return answer


def require_may(order: Order) -> None:
    """Raise RequestError unless the operator may give this order (permission_denied), on this tenant (not_found)."""
    fault, bound_to = order.actor.fault_of(order.name), order.actor.tenant
    if fault:
        raise RequestError(ErrorCode.PERMISSION_DENIED, fault)
    if bound_to is not None and order.tenant != bound_to and order.name != "drain":
        raise RequestError(ErrorCode.NOT_FOUND, f"There is no tenant {order.tenant or ''!r}.")


def record(order: Order) -> None:
    """Record an order that is carried out already, in the caller's transaction."""
    _create(order, outcome=tables.AuditEntry.Outcome.DONE)


def tell_if_possible(operation: Any) -> None:
    """Tell the nodes at once of a change that they would find in the database within a second. Call it from a thread."""
    try:
        call(lambda link: link.act_all(operation))
    except NotInForceError:
        logger.info("The nodes cannot be told now; they find it in the database")


def _begin(order: Order) -> int:
    return _create(order).pk


def _create(order: Order, **fields: Any) -> "tables.AuditEntry":
    actor = order.actor
    return tables.AuditEntry.objects.create(
        actor_kind=actor.kind.value,
        actor_id=actor.id[: tables.USER_MAX_CHARS],
        actor=actor.name,
        tenant=order.tenant or "",
        action=order.name,
        target=order.recorded(),
        reason=order.reason,
        address=actor.address,
        **fields,
    )


async def _end(link: Link, entry_id: int, **fields: Any) -> None:
    try:
        await link.in_db(_update, entry_id, fields)
    except (InterfaceError, OperationalError, RequestError) as error:
        # The operation is done; its entry in the log stays at `begun`.
        logger.error("The outcome of audit entry %s could not be written: %s", entry_id, error)  # noqa: TRY400


def _update(entry_id: int, fields: dict[str, Any]) -> None:
    tables.AuditEntry.objects.filter(pk=entry_id).update(**fields)
