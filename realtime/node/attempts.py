"""Limits on attempts that fail, counted for all processes at the broker, or by this process while the broker is away."""

import logging
import secrets
import threading
import time
from collections.abc import Callable, Coroutine, Hashable
from concurrent.futures import CancelledError, Future
from typing import Any, NamedTuple, TypeVar

from realtime.conf import current_settings
from realtime.core.attempts import AttemptRule, AttemptTable, Verdict
from realtime.node import node as nodes
from realtime.node.remote import current_remote
from realtime.protocol.errors import PublishUnavailableError
from realtime.topics.engine.ports import Attempts, EngineUnavailableError

logger = logging.getLogger(__name__)

T = TypeVar("T")
Work = Callable[[Attempts], Coroutine[Any, Any, T]]

# Seconds that an attempt waits for the broker, and after which a server of it that did not answer is asked again.
BROKER_WAIT_S = 0.5
BROKER_RETRY_S = 5.0
# Keys that a process counts at most by itself.
KEYS_MAX = 100_000
_AWAY = (EngineUnavailableError, PublishUnavailableError, TimeoutError, CancelledError)


class AttemptSlot(NamedTuple):
    """An attempt that may begin."""

    key: str
    token: str


class AttemptLimit:
    """Counts attempts by key: `take` one, then `fail` or `free` it. `what` names them in the log, in the plural.

    Callable from any thread, but not on the event loop. A call waits at most BROKER_WAIT_S seconds for the broker and
    raises nothing if it is away: this process then counts by itself the keys of a server that does not answer.
    """

    def __init__(self, what: str, rule: AttemptRule) -> None:
        self._what = what
        self._rule = rule
        self._own = AttemptTable(rule, keys_max=KEYS_MAX)
        # The servers that did not answer, and when they are asked again, in monotonic seconds; empty when all are back.
        self._away: dict[Hashable, float] = {}
        self._lock = threading.Lock()

    def take(self, key: str) -> AttemptSlot | Verdict:
        """Begin an attempt. Return its slot, or why it may not begin."""
        slot = AttemptSlot(key, secrets.token_hex(8))
        verdict = self._at_broker(key, lambda at: at.take(self._rule, *slot))
        if verdict is None:
            with self._lock:
                verdict = self._own.take(*slot, time.monotonic())
        return slot if verdict.may_begin else verdict

    def fail(self, slot: AttemptSlot) -> None:
        """The attempt has failed."""
        if self._at_broker(slot.key, lambda at: _done(at.fail(self._rule, *slot))) is None:
            with self._lock:
                self._own.fail(*slot, time.monotonic())

    def free(self, slot: AttemptSlot) -> None:
        """The attempt was right. Counted by a server that is away, it ends with the window."""
        self._at_broker(slot.key, lambda at: at.free(*slot))
        with self._lock:
            self._own.free(*slot)

    def _at_broker(self, key: str, work: Work[T]) -> T | None:
        """Return the result of `work`; None if there is no broker, or the key's server is away."""
        counter = _counter()
        if counter is None:
            return None
        place = counter.place(key)
        if time.monotonic() < self._away.get(place, 0.0):
            return None
        try:
            result: T = _result(counter.run(work))
        except _AWAY as error:
            self._went_away(place, error)
            return None
        self._came_back(place)
        return result

    def _went_away(self, place: Hashable, error: Exception) -> None:
        with self._lock:
            was_away = bool(self._away)
            self._away[place] = time.monotonic() + BROKER_RETRY_S
        if not was_away:
            kind = type(error).__name__
            logger.warning(
                "The broker cannot be reached (%s): each process counts %s by itself", kind, self._what
            )

    def _came_back(self, place: Hashable) -> None:
        if not self._away:
            return
        with self._lock:
            was_away = bool(self._away)
            self._away.pop(place, None)
            now_s = time.monotonic()
            is_back = was_away and all(until_s <= now_s for until_s in self._away.values())
            if is_back:
                self._away.clear()
        if is_back:
            logger.info("The broker is back: %s are counted for all processes again", self._what)


class _Counter(NamedTuple):
    """The way from this process to the broker's counters."""

    place: Callable[[str], Hashable]
    run: Callable[[Work[Any]], "Future[Any]"]


def _counter() -> _Counter | None:
    node = nodes.current_node()
    if node.serves_here:
        attempts = node.attempts
        if attempts is None:
            return None
        return _Counter(attempts.place, lambda work: node.submit(work(attempts)))
    settings = current_settings()
    if not settings.REDIS_URL:
        return None
    return _Counter(lambda key: None, current_remote(settings).count)


def _result(future: "Future[T]") -> T:
    try:
        return future.result(BROKER_WAIT_S)
    finally:
        future.cancel()


async def _done(work: Coroutine[Any, Any, None]) -> bool:
    await work
    return True
