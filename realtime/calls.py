"""Requests that take time: run side by side, bounded in number and time, and can be cancelled."""

import asyncio

from realtime.connection import Connection
from realtime.failures import request_error
from realtime.frame import Frame
from realtime.protocol.codec import encode_reply
from realtime.protocol.envelope import Reply, RequestId
from realtime.protocol.errors import ErrorCode, RequestError
from realtime.verbs import Call, Handler


class Calls:
    """The calls in flight on one connection: at most `limit`, each at most `timeout_s` seconds long."""

    def __init__(self, connection: Connection, limit: int, timeout_s: float) -> None:
        self._connection = connection
        self._limit = limit
        self._timeout_s = timeout_s
        self._tasks: set[asyncio.Task[None]] = set()
        self._by_id: dict[RequestId, asyncio.Task[None]] = {}

    def start(self, call: Call, handle: Handler, payload: object) -> None:
        """Run the call as a task; raises RequestError(limit_exceeded | conflict) where it cannot begin."""
        request_id = call.request.id
        if self._limit and len(self._tasks) >= self._limit:
            raise RequestError(
                ErrorCode.LIMIT_EXCEEDED, f"{self._limit} calls are in flight; wait for one to end."
            )
        if request_id is not None and request_id in self._by_id:
            raise RequestError(
                ErrorCode.CONFLICT, "A call with this id is in flight.", details={"field": "id"}
            )
        task = self._connection.spawn(self._run(call, handle, payload))
        self._tasks.add(task)
        if request_id is not None:
            self._by_id[request_id] = task
        task.add_done_callback(lambda done: self._ended(done, request_id))

    def cancel(self, request_id: RequestId) -> bool:
        """End the call with `cancelled`; False where none with this id is in flight."""
        task = self._by_id.get(request_id)
        if task is None:
            return False
        # Not at once: a task that is cancelled before its first step never runs, and so would never answer.
        asyncio.get_running_loop().call_soon(task.cancel, "by the client")
        return True

    async def _run(self, call: Call, handle: Handler, payload: object) -> None:
        connection, request_id = self._connection, call.request.id
        try:
            async with asyncio.timeout(self._timeout_s or None):
                reply = await handle(call, payload)
            await answer(connection, request_id, reply)
        except TimeoutError:
            message = f"The call did not end within {self._timeout_s:g} s."
            await connection.send_error(RequestError(ErrorCode.TIMEOUT, message), request_id)
        except asyncio.CancelledError as error:
            if error.args != ("by the client",):
                raise
            cancelled = RequestError(ErrorCode.CANCELLED, "The call was cancelled.")
            await connection.send_error(cancelled, request_id)
        except Exception as error:
            await connection.send_error(request_error(error, connection.id), request_id)

    def _ended(self, task: "asyncio.Task[None]", request_id: RequestId | None) -> None:
        self._tasks.discard(task)
        if request_id is not None and self._by_id.get(request_id) is task:
            del self._by_id[request_id]


def calls_of(connection: Connection) -> Calls:
    """The calls of a connection; made at the first, because most connections of a large site never call."""
    calls: Calls | None = connection.state.get("calls")
    if calls is None:
        settings = connection.runtime.settings
        calls = connection.state["calls"] = Calls(connection, settings.MAX_CALLS, settings.CALL_TIMEOUT_S)
    return calls


async def answer(connection: Connection, request_id: RequestId | None, reply: Reply | None) -> None:
    """Send a reply, where one is wanted: without an id success is silent, unless the reply is one to be sent always."""
    if reply is not None and (request_id is not None or reply.always):
        await connection.send(Frame(encode_reply(request_id, reply.type, reply.payload)))
