"""A socket of a test: sends requests, and says in words what did not come."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

from realtime.sockets.types import Application, Scope
from realtime.testing.clock import settle

# Seconds that a message may take. Nothing waits this long unless it fails.
WAIT_S = 2.0
# Turns of the loop after which nothing more comes by itself.
QUIET_TURNS = 50

Message = dict[str, Any]


async def nothing() -> None:
    """Wait for nothing."""


class TestSocket:
    """An open socket. Replies and pushes may be asked for in any order; each is taken once."""

    # pytest would take it for a class of tests.
    __test__ = False

    def __init__(
        self,
        app: Application,
        scope: Scope,
        *,
        settled: Callable[[], Awaitable[None]] = nothing,
        wait_s: float = 0.0,
    ) -> None:
        """`settled` is awaited before a message is waited for: it does what waits for a commit of the test.

        A message may take `wait_s` seconds (0: WAIT_S).
        """
        self._to_app: asyncio.Queue[Message] = asyncio.Queue()
        self._from_app: asyncio.Queue[Message] = asyncio.Queue()
        self._seen: list[Message] = []
        # Events that were passed over on the way to the close.
        self._passed: list[Message] = []
        self._number = 0
        self._closed: tuple[int, str] | None = None
        self._app = app
        self._scope = scope
        self._settled = settled
        self._wait_s = wait_s
        self._task: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Open it; raises the Refusal of a middleware of the route."""
        application = self._app(self._scope, self._to_app.get, self._from_app.put)
        self._task = asyncio.ensure_future(application)
        self._to_app.put_nowait({"type": "websocket.connect"})
        first = asyncio.ensure_future(self._from_app.get())
        await asyncio.wait({first, self._task}, return_when=asyncio.FIRST_COMPLETED, timeout=WAIT_S)
        if not first.done():
            first.cancel()
            if self._task.done():
                await self._task
            raise AssertionError("The socket was not accepted.")
        assert first.result()["type"] == "websocket.accept", first.result()

    async def close(self, code: int = 1000) -> None:
        """Close it, as a client that leaves."""
        if self._task is None:
            return
        self.hang_up(code)
        await asyncio.wait_for(self._task, WAIT_S)
        self._task = None

    def hang_up(self, code: int = 1006) -> None:
        """Leave without waiting for the server, as a connection that breaks."""
        self._to_app.put_nowait({"type": "websocket.disconnect", "code": code})

    async def send_text(self, text: str) -> None:
        """Send a text frame as it is."""
        self._to_app.put_nowait({"type": "websocket.receive", "text": text})

    async def receive_text(self) -> str:
        """Return the next text frame, of an endpoint without an envelope."""
        event = await self._event("a text frame")
        assert "text" in event, f"Expected a text frame, received {event}."
        return str(event["text"])

    async def send(self, verb: str, payload: Any = None) -> str:
        """Send a request; return its id, for `assert_reply`."""
        self._number += 1
        request_id = str(self._number)
        await self.send_text(json.dumps({"id": request_id, "type": verb, "payload": payload or {}}))
        return request_id

    async def request(self, verb: str, payload: Any = None) -> Any:
        """Send a request and return the payload of its reply; an error is a failure."""
        reply = await self._reply(await self.send(verb, payload))
        assert reply["type"] != "error", f"{verb} was answered with the error {reply['payload']}."
        return reply["payload"]

    async def assert_reply(
        self, request_id: str, kind: str, expected: Mapping[str, Any] | None = None
    ) -> Any:
        """Return the payload of the reply to a request, which must be of this type and hold `expected`.

        For an error the type is `error`, and `expected` for example `{"code": "not_found"}`.
        """
        reply = await self._reply(request_id)
        assert reply["type"] == kind, (
            f"Expected the reply {kind}, received {reply['type']}: {reply['payload']}."
        )
        assert _holds(reply["payload"], expected), (
            f"Expected {expected} in the reply, received {reply['payload']}."
        )
        return reply["payload"]

    async def assert_push(self, kind: str, expected: Mapping[str, Any] | None = None) -> Any:
        """Return the payload of the next push of this type that holds `expected`; others stay to be asked for.

        A field of `expected` is compared whole: `data` with all that it has.
        """

        def is_wanted(message: Message) -> bool:
            return _is_push(message, kind) and _holds(message["payload"], expected)

        wanted = f"the push {kind} with {expected or 'any payload'}"
        return (await self._next(is_wanted, wanted, lambda: self._unlike(kind, expected or {})))["payload"]

    async def refute_push(self, kind: str, expected: Mapping[str, Any] | None = None) -> None:
        """Fail if such a push has come, or comes from what happens now."""
        await self._settled()
        await settle(QUIET_TURNS)
        self._take_all()
        found = [each for each in self._seen if _is_push(each, kind)]
        unwanted = [each["payload"] for each in found if _holds(each["payload"], expected)]
        assert not unwanted, f"Expected no push {kind} with {expected or 'any payload'}, received {unwanted}."

    async def assert_closed(self, code: int | None = None) -> tuple[int, str]:
        """Wait until the server closes it; return code and reason."""
        passed: list[Message] = []
        while self._closed is None:
            event = await self._event("the close of the socket")
            passed.append(event)
            self._note_close(event)
        # Those that came before it can still be asked for.
        self._passed[:0] = [each for each in passed if each["type"] != "websocket.close"]
        found, reason = self._closed
        assert code in {None, found}, f"Expected the close code {code}, received {found} ({reason})."
        return self._closed

    async def messages(self) -> AsyncIterator[Message]:
        """Yield each message that was not asked for yet, until the socket is closed. It waits without a limit."""
        while True:
            while self._seen:
                yield self._seen.pop(0)
            if self._closed is not None or not await self._more():
                return
            self._take_all()

    async def _more(self) -> bool:
        """Wait for an event; False if there will be none."""
        if self._is_there() or self._task is None:
            return self._is_there()
        arrived = asyncio.ensure_future(self._from_app.get())
        try:
            await asyncio.wait({arrived, self._task}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            is_there = arrived.done()
            arrived.cancel()
        if is_there:
            self._take(arrived.result())
        return is_there

    async def _reply(self, request_id: str) -> Message:
        return await self._next(
            lambda message: message.get("id") == request_id, f"a reply to request {request_id}"
        )

    async def _next(
        self, is_wanted: Callable[[Message], bool], wanted: str, instead: Callable[[], str] = str
    ) -> Message:
        """`instead` says what came that is like it; by default nothing is."""
        while True:
            for at, message in enumerate(self._seen):
                if is_wanted(message):
                    return self._seen.pop(at)
            if self._closed is not None and not self._is_there():
                raise AssertionError(f"Expected {wanted}, but the socket was closed with {self._closed}.")
            self._take(await self._event(wanted, instead))

    async def _event(self, wanted: str, instead: Callable[[], str] = str) -> Message:
        if not self._is_there():
            await self._settled()
        if self._passed:
            return self._passed.pop(0)
        try:
            return await asyncio.wait_for(self._from_app.get(), self._wait_s or WAIT_S)
        except TimeoutError:
            # Nobody waits for the first message of every socket.
            others = [each for each in self._seen if each["type"] != "welcome"] or "nothing else"
            raise AssertionError(f"Expected {wanted}, received {instead() or others}.") from None

    def _unlike(self, kind: str, expected: Mapping[str, Any]) -> str:
        """Return the fields in question of the pushes of this type; "" if there is none."""
        found = [each["payload"] for each in self._seen if _is_push(each, kind)]
        fields = [{key: each[key] for key in expected if key in each} for each in found]
        return f"it with {fields}" if found else ""

    def _is_there(self) -> bool:
        return bool(self._passed) or not self._from_app.empty()

    def _take_all(self) -> None:
        while self._is_there():
            self._take(self._passed.pop(0) if self._passed else self._from_app.get_nowait())

    def _take(self, event: Message) -> None:
        self._note_close(event)
        if "text" in event:
            self._seen.append(json.loads(event["text"]))

    def _note_close(self, event: Message) -> None:
        if event["type"] == "websocket.close":
            self._closed = (event["code"], event.get("reason") or "")


def _is_push(message: Message, kind: str) -> bool:
    return "id" not in message and message["type"] == kind


def _holds(payload: Any, expected: Mapping[str, Any] | None) -> bool:
    """Return whether the payload has every field of `expected`, with an equal value."""
    return all(key in payload and payload[key] == value for key, value in (expected or {}).items())
