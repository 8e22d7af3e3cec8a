"""Questions and orders to all nodes, and their answers.

The asker answers for itself at once and collects the answers of the others. A node that is silent for longer than
the bound is left out, so one busy node holds nobody up.
"""

import asyncio
import logging
import secrets
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from realtime.protocol.errors import ErrorCode, RequestError
from realtime.topics.engine.ports import Bus, BusUnavailableError

logger = logging.getLogger(__name__)

ASKED_GROUP = "asked"
# Seconds that the asker waits for the other nodes: when it reads, and when it has told them to act.
READ_WAIT_S = 0.5
ACT_WAIT_S = 1.0
# Questions of this node that wait for answers; beyond it `rate_limited`.
MAX_WAITING = 1000
# Questions of other nodes that are answered at the same time here.
MAX_ANSWERING = 4
# Ids that are remembered, so that an order that is sent twice is carried out once.
IDS_REMEMBERED = 10_000

Spawn = Callable[[Coroutine[Any, Any, None]], "asyncio.Task[None]"]
# Carries out an encoded operation on this node; each item is a part of the answer.
Perform = Callable[[bytes], AsyncIterator[bytes]]
# Sends to a group; False if that was not possible now.
Tell = Callable[[str, bytes], Awaitable[bool]]


class Asked(msgspec.Struct, array_like=True, frozen=True):
    """To every node. The answer goes to the group of `by`."""

    id: str
    by: str
    body: bytes


class Answered(msgspec.Struct, array_like=True, frozen=True):
    """One part of a node's answer; `body` is empty if it has none. `peers` are the nodes that it knows."""

    id: str
    node: str
    peers: list[str]
    is_last: bool
    body: bytes


@dataclass(slots=True)
class Answers:
    """The answers of the nodes: the parts of each, by node. `expected` are all nodes that are known.

    `is_told`: the broker took the message. Otherwise only this node has acted, and the others will when the
    broker is back.
    """

    parts: dict[str, list[bytes]] = field(default_factory=dict)
    finished: set[str] = field(default_factory=set)
    expected: set[str] = field(default_factory=set)
    is_told: bool = True
    grown: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def nodes_answered(self) -> int:
        """The number of nodes that have answered in full."""
        return len(self.finished)

    @property
    def nodes_total(self) -> int:
        """The number of nodes that are alive, as far as the asker and the nodes that answered know."""
        return len(self.expected | self.finished)

    def bodies(self) -> list[bytes]:
        """Return all parts of the nodes that answered in full."""
        return [part for node in sorted(self.finished) for part in self.parts[node]]

    @property
    def is_complete(self) -> bool:
        """True if every known node has answered."""
        return bool(self.finished) and self.expected <= self.finished


_asked = msgspec.msgpack.Decoder(Asked)
_answered = msgspec.msgpack.Decoder(Answered)


class Exchange:
    """The questions of one process. Used only on its event loop.

    `own` is its name, `peers` returns the nodes that are alive, `perform` carries out operations here; a
    process that is no node has none.
    """

    def __init__(
        self,
        own: str,
        bus: Bus,
        spawn: Spawn,
        *,
        peers: Callable[[], Iterable[str]] = tuple,
        perform: Perform | None = None,
    ) -> None:
        self._own = own
        self._bus = bus
        self._spawn = spawn
        self._peers = peers
        self._perform = perform
        self._waiting: dict[str, Answers] = {}
        self._known: OrderedDict[str, None] = OrderedDict()
        self._turn = asyncio.Semaphore(MAX_ANSWERING)

    @property
    def reply_group(self) -> str:
        """The bus group in which this process hears answers."""
        return reply_group(self._own)

    async def read(self, body: bytes) -> Answers:
        """Ask every node; without the broker, only this one answers."""
        return await self._ask(body, self._send, READ_WAIT_S)

    async def act(self, body: bytes, tell: Tell | None = None) -> Answers:
        """Order every node. `tell` sends it, and returns False if it could not be sent now (None: the bus alone)."""
        return await self._ask(body, tell or self._send, ACT_WAIT_S)

    def asked(self, body: bytes) -> None:
        """Handle a question of another process."""
        try:
            asked = _asked.decode(body)
        except msgspec.MsgspecError:
            logger.warning("Something that is no question came over the bus and was dropped")
            return
        if self._perform is None or asked.id in self._known:
            return
        self._known[asked.id] = None
        if len(self._known) > IDS_REMEMBERED:
            self._known.popitem(last=False)
        self._spawn(self._answer(asked, self._perform))

    def answered(self, body: bytes) -> None:
        """Handle an answer. It is dropped if no caller waits for it any more, or if it came before."""
        try:
            answered = _answered.decode(body)
        except msgspec.MsgspecError:
            logger.warning("Something that is no answer came over the bus and was dropped")
            return
        answers = self._waiting.get(answered.id)
        if answers is None or answered.node in answers.finished:
            # Nobody waits any more, or the bus has said the last part twice.
            return
        answers.expected.update(answered.peers)
        parts = answers.parts.setdefault(answered.node, [])
        if answered.body:
            parts.append(answered.body)
        if answered.is_last:
            answers.finished.add(answered.node)
            answers.grown.set()

    async def _ask(self, body: bytes, send: Tell, wait_s: float) -> Answers:
        if len(self._waiting) >= MAX_WAITING:
            raise RequestError(ErrorCode.RATE_LIMITED, "Too many questions wait for the nodes; try again.")
        question = Asked(secrets.token_hex(8), self._own, body)
        answers = self._waiting[question.id] = Answers(expected=set(self._peers()))
        try:
            own = (
                None
                if self._perform is None
                else self._spawn(self._answer_here(answers, self._perform, body))
            )
            answers.is_told = await send(ASKED_GROUP, msgspec.msgpack.encode(question))
            if own is not None:
                await asyncio.wait([own])
            if answers.is_told:
                await _until_complete(answers, wait_s)
        finally:
            del self._waiting[question.id]
        return answers

    async def _answer_here(self, answers: Answers, perform: Perform, body: bytes) -> None:
        answers.parts[self._own] = [part async for part in perform(body)]
        answers.finished.add(self._own)

    async def _answer(self, asked: Asked, perform: Perform) -> None:
        async with self._turn:
            held: bytes | None = None
            async for part in perform(asked.body):
                if held is not None:
                    await self._reply(asked, held, is_last=False)
                held = part
            await self._reply(asked, held or b"", is_last=True)

    async def _reply(self, asked: Asked, body: bytes, *, is_last: bool) -> None:
        peers = sorted(self._peers()) if is_last else []
        answered = Answered(asked.id, self._own, peers, is_last, body)
        await self._send(reply_group(asked.by), msgspec.msgpack.encode(answered))

    async def _send(self, group: str, body: bytes) -> bool:
        try:
            await self._bus.send(group, body)
        except BusUnavailableError:
            return False
        return True


async def _until_complete(answers: Answers, wait_s: float) -> None:
    try:
        async with asyncio.timeout(wait_s):
            while not answers.is_complete:
                answers.grown.clear()
                await answers.grown.wait()
    except TimeoutError:
        silent = sorted(answers.expected - answers.finished)
        logger.warning("Nodes did not answer within %s s: %s", wait_s, ", ".join(silent) or "none is there")


def reply_group(process: str) -> str:
    """Return the bus group in which a process hears answers."""
    return f"answers.{process}"
