"""The readiness of this process for requests: each part that it needs is asked, and none may hold up the answer."""

import logging
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import Future, wait
from threading import Thread

logger = logging.getLogger(__name__)

# A probe must be answered within 1 s, also by a busy process: a part that says nothing until then counts as failed.
DEADLINE_S = 0.6
OK = "ok"

Probe = Callable[[], str]


class Readiness:
    """Asks all parts side by side. A probe returns "" or its fault in words; it may raise, and it may hang.

    Each part has at most one probe under way, in a thread that does not hold up the end of the process. A part of
    `settled` that was once in order is not asked again.
    """

    def __init__(
        self,
        probes: Mapping[str, Probe],
        *,
        settled: Collection[str] = (),
        deadline_s: float = DEADLINE_S,
    ) -> None:
        self._probes = dict(probes)
        self._settled = settled
        self._deadline_s = deadline_s
        self._under_way: dict[str, Future[str]] = {}
        self._last: dict[str, str] = {}

    def parts(self) -> dict[str, str]:
        """Return each part with `ok` or its fault in words. Changes are logged, once each."""
        for name, probe in self._probes.items():
            running = self._under_way.get(name)
            is_settled = name in self._settled and self._last.get(name) == OK
            if running is None or (running.done() and not is_settled):
                self._under_way[name] = _start(probe)
        asked = dict(self._under_way)
        wait(asked.values(), self._deadline_s)
        parts = {name: _outcome(answer) for name, answer in asked.items()}
        self._tell(parts)
        return parts

    def _tell(self, parts: dict[str, str]) -> None:
        for name, outcome in parts.items():
            # The text of a fault may change. Only the change between `ok` and a fault is logged.
            if (outcome == OK) != (self._last.get(name, OK) == OK):
                level = logging.INFO if outcome == OK else logging.WARNING
                logger.log(level, "readyz: %s is %s", name, outcome)
        self._last = parts


def _start(probe: Probe) -> "Future[str]":
    answer: Future[str] = Future()

    def run() -> None:
        try:
            answer.set_result(probe())
        except Exception as error:
            answer.set_exception(error)

    Thread(target=run, name="readyz", daemon=True).start()
    return answer


def _outcome(answer: "Future[str]") -> str:
    if not answer.done():
        return "no answer"
    if (error := answer.exception()) is not None:
        # Its text may name hosts and users.
        return type(error).__name__
    return answer.result() or OK
