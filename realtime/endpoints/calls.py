"""Slow requests: they run concurrently, are limited in number and time, and can be cancelled."""

import asyncio
from collections.abc import Callable, Hashable
from functools import partial
from time import monotonic
from typing import Any

from realtime.core.figures import Histogram
from realtime.endpoints.verbs import Call, Handler
from realtime.node.failures import request_error
from realtime.node.logs import log_verb
from realtime.protocol.envelope import RequestId
from realtime.protocol.errors import ErrorCode, RequestError
from realtime.sockets.connection import Connection
from realtime.sockets.outbox import PreparedMessage, prepared_reply

# Seconds that a handler has to stop after its call was ended. Then the client is answered without waiting for it.
STOP_S = 0.5


class InFlight:
    """One running call. `ended_by` is the error for the client if the call was ended from outside.

    `answer` sends it if the handler does not stop.
    """

    __slots__ = ("answer", "ended_by", "is_answered", "is_handled", "task")

    def __init__(self, answer: Callable[[RequestError], None]) -> None:
        self.answer = answer
        self.task: asyncio.Task[None] | None = None
        self.ended_by: RequestError | None = None
        # Whether the handler has finished and only the answer is left to send.
        self.is_handled = False
        self.is_answered = False

    def end(self, error: RequestError) -> None:
        """Cancel the handler and answer `error`. If called twice, the first error counts."""
        if self.ended_by is None:
            self.ended_by = error
            # Not immediately: a task that is cancelled before its first step never runs and so could not
            # answer.
            asyncio.get_running_loop().call_soon(self._cancel)

    def _cancel(self) -> None:
        if self.task is not None and not self.is_handled:
            self.task.cancel()
            asyncio.get_running_loop().call_later(STOP_S, self._answer_late)

    def _answer_late(self) -> None:
        """Answer although the handler still runs: it has caught its cancellation, or takes long to clean up."""
        if not self.is_handled and self.ended_by is not None:
            self.is_answered = True
            self.answer(self.ended_by)


class Deadlines:
    """Ends the calls of a process that take longer than `timeout_s` seconds (0: none).

    All calls have the same timeout, so they expire in the order in which they began. One timer for the oldest
    call is enough.
    """

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._until_s: dict[InFlight, float] = {}
        self._timer: asyncio.TimerHandle | None = None

    def add(self, running: InFlight) -> None:
        """Start the timeout of this call."""
        if self._timeout_s:
            self._until_s[running] = monotonic() + self._timeout_s
            if self._timer is None:
                self._timer = asyncio.get_running_loop().call_later(self._timeout_s, self._look)

    def discard(self, running: InFlight) -> None:
        """Forget a call that has ended."""
        self._until_s.pop(running, None)

    def _look(self) -> None:
        self._timer = None
        while self._until_s:
            running, until_s = next(iter(self._until_s.items()))
            left_s = until_s - monotonic()
            if left_s > 0:
                self._timer = asyncio.get_running_loop().call_later(left_s, self._look)
                return
            del self._until_s[running]
            message = f"The call did not end within {self._timeout_s:g} s."
            running.end(RequestError(ErrorCode.TIMEOUT, message))


class Calls:
    """The calls in flight on one connection: at most `limit` (0: no limit)."""

    __slots__ = ("_connection", "_deadlines", "_limit", "_running", "_times")

    def __init__(
        self,
        connection: Connection,
        limit: int,
        deadlines: Deadlines,
        times: Histogram | None = None,
    ) -> None:
        """`times` counts how long calls took."""
        self._times = times or Histogram()
        self._connection = connection
        self._limit = limit
        self._deadlines = deadlines
        # By request id. A call without an id is its own key.
        self._running: dict[Hashable, InFlight] = {}

    def admit(self, request_id: RequestId | None) -> None:
        """Raise RequestError(limit_exceeded | conflict) if a call with this id cannot begin now."""
        if self._limit and len(self._running) >= self._limit:
            raise RequestError(
                ErrorCode.LIMIT_EXCEEDED, f"{self._limit} calls are in flight; wait for one to end."
            )
        if request_id is not None and request_id in self._running:
            raise RequestError(
                ErrorCode.CONFLICT, "A call with this id is in flight.", details={"field": "id"}
            )

    def start(self, call: Call[Any], handle: Handler, payload: object) -> None:
        """Run the call as a task; raises what `admit` raises."""
        request_id = call.request.id
        self.admit(request_id)
        running = InFlight(partial(self._answer, call))
        key: Hashable = running if request_id is None else request_id
        self._running[key] = running
        self._deadlines.add(running)
        running.task = self._connection.adopt(self._run(key, running, call, handle, payload))

    def cancel(self, request_id: RequestId) -> bool:
        """End the call with `cancelled`. Return False if no call with this id is in flight."""
        running = self._running.get(request_id)
        if running is None or running.is_handled:
            return False
        running.end(RequestError(ErrorCode.CANCELLED, "The call was cancelled."))
        return True

    async def _run(
        self, key: Hashable, running: InFlight, call: Call[Any], handle: Handler, payload: object
    ) -> None:
        connection, request_id = self._connection, call.request.id
        # The task of one call.
        log_verb.set(call.request.type)
        began_s = monotonic()
        try:
            frame = await self._outcome(running, call, handle, payload)
            if running.is_answered:
                return
            if running.ended_by is not None:
                running.ended_by.verb = call.request.type
                await connection.send_error(running.ended_by, request_id)
            elif frame is not None:
                sending = connection.outbox.send(frame)
                self._times.observe(monotonic() - began_s)
                # Drop our reference: only the outbox should keep the message while the client does not read.
                del frame
                await sending
        finally:
            del self._running[key]
            connection.disown(running.task)

    async def _outcome(
        self, running: InFlight, call: Call[Any], handle: Handler, payload: object
    ) -> PreparedMessage | None:
        """Return the handler's reply. If the handler failed, return None; `running.ended_by` says why."""
        try:
            return prepared_reply(call.request.id, await handle(call, payload))
        except asyncio.CancelledError as error:
            if running.ended_by is None and was_cancelled():
                raise
            # Otherwise the handler awaited something that was cancelled, and its caller still waits.
            running.ended_by = running.ended_by or self._error(error, call)
        except Exception as error:
            running.ended_by = self._error(error, call)
        finally:
            running.is_handled = True
            self._deadlines.discard(running)
        return None

    def _answer(self, call: Call[Any], error: RequestError) -> None:
        error.verb = call.request.type
        self._connection.push_error(error, call.request.id)

    def _error(self, error: BaseException, call: Call[Any]) -> RequestError:
        verb = call.request.type
        return request_error(error, handler_of(verb), self._connection, verb)


def was_cancelled() -> bool:
    """Return whether a CancelledError means that the current task itself is to end."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def handler_of(verb: str | None) -> str:
    """Return the name of the handler of a verb or method, for log lines."""
    return "The handler of a message" if verb is None else f"The handler of {verb!r}"
