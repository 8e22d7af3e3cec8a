"""Answers by `Idempotency-Key`: the same request again gets the same answer, and nothing is done twice."""

from collections.abc import Callable
from hashlib import sha256
from time import monotonic, sleep
from typing import Any

import msgspec
from django.db import IntegrityError, transaction

from realtime import tables
from realtime.protocol.errors import Refusal

Answer = dict[str, Any]

# Seconds that a request waits for the answer of an earlier one with the same key, and seconds between two looks.
FIRST_WAIT_S = 5.0
FIRST_POLL_S = 0.05


def answer_once(actor: str, key: str, request: Any, work: Callable[[], Answer]) -> Answer:
    """Return the answer of `work`, or its earlier answer if `actor` has used `key` before.

    `request` has all that the answer depends on, as plain JSON. While the first request with the key runs, this one
    waits for its answer. Raises Refusal(409) if that takes longer than FIRST_WAIT_S, or if the key was used for
    another request. If `work` raises, the key is free again.
    """
    fingerprint = sha256(msgspec.json.encode(request, order="sorted")).hexdigest()
    try:
        with transaction.atomic():
            row = tables.IdempotentAnswer.objects.create(actor=actor, key=key, fingerprint=fingerprint)
    except IntegrityError:
        return _known(actor, key, fingerprint)
    try:
        answer = work()
    except BaseException:
        tables.IdempotentAnswer.objects.filter(pk=row.pk).delete()
        raise
    tables.IdempotentAnswer.objects.filter(pk=row.pk).update(status=200, body=answer)
    return answer


def _known(actor: str, key: str, fingerprint: str) -> Answer:
    until_s = monotonic() + FIRST_WAIT_S
    while monotonic() < until_s:
        row = tables.IdempotentAnswer.objects.filter(actor=actor, key=key).first()
        if row is None:
            # The first one failed.
            break
        if row.fingerprint != fingerprint:
            raise Refusal(409, "conflict", "This Idempotency-Key was used for another request.")
        if row.status is not None:
            return dict(row.body or {})
        sleep(FIRST_POLL_S)
    raise Refusal(
        409, "conflict", "The first request with this Idempotency-Key has no answer yet; try again."
    )
