"""Answers by `Idempotency-Key`: the same request again gets the same answer, and nothing is done twice."""

from collections.abc import Callable
from hashlib import sha256
from typing import Any

import msgspec
from django.db import IntegrityError, transaction

from realtime.models import IdempotentAnswer
from realtime.protocol.errors import Refusal

Answer = dict[str, Any]


def answer_once(actor: str, key: str, request: Any, work: Callable[[], Answer]) -> Answer:
    """Return the answer of `work`, or the one that it gave when `actor` used `key` before.

    `request` is what the answer depends on, as plain JSON. Raises Refusal(409) if the key was used for another
    request, or while the first one still runs. If `work` raises, the key is free again.
    """
    fingerprint = sha256(msgspec.json.encode(request, order="sorted")).hexdigest()
    try:
        with transaction.atomic():
            row = IdempotentAnswer.objects.create(actor=actor, key=key, fingerprint=fingerprint)
    except IntegrityError:
        return _known(actor, key, fingerprint)
    try:
        answer = work()
    except BaseException:
        IdempotentAnswer.objects.filter(pk=row.pk).delete()
        raise
    IdempotentAnswer.objects.filter(pk=row.pk).update(status=200, body=answer)
    return answer


def _known(actor: str, key: str, fingerprint: str) -> Answer:
    row = IdempotentAnswer.objects.filter(actor=actor, key=key).first()
    if row is None or (row.fingerprint == fingerprint and row.status is None):
        raise Refusal(409, "conflict", "A request with this Idempotency-Key is being answered; try again.")
    if row.fingerprint != fingerprint:
        raise Refusal(409, "conflict", "This Idempotency-Key was used for another request.")
    return dict(row.body or {})
