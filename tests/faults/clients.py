"""Clients over real sockets: followers that subscribe and recover, publishers that repeat what was not answered."""

import asyncio
import itertools
import json
import random
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from tests.faults.record import (
    Acknowledged,
    Attempted,
    Closed,
    Delivered,
    Repeated,
    Subscribed,
    Told,
    Topic,
    Value,
)
from tests.faults.recorder import Recorder
from tests.servers.process import HOST

PATH = "/ws/pubsub/"
# As many as one `subscribe` may name.
TOPICS_PER_REQUEST = 100
# Between two tries to connect, to subscribe, or to publish the same again.
AGAIN_S = 0.1
ANSWER_S = 15.0
# Publications of one publisher that are not answered yet: above it the next one waits.
IN_FLIGHT_MAX = 64

Ports = Callable[[], Sequence[int]]


async def open_socket(port: int) -> ClientConnection:
    """A socket of acme's server at `port`, after its welcome. Raises OSError, also if the server refuses."""
    try:
        socket = await connect(
            f"ws://{HOST}:{port}{PATH}",
            host="127.0.0.1",
            port=port,
            compression=None,
            ping_interval=None,
            close_timeout=1,
            max_size=None,
            max_queue=None,
            proxy=None,
        )
        await socket.recv()
    except (ConnectionClosed, InvalidHandshake, TimeoutError) as error:
        raise ConnectionRefusedError(str(error)) from error
    return socket


class Follower:
    """Subscribes to all topics and stays subscribed: it connects and recovers again whenever it must.

    `ports` are the servers it may connect to now; each time it takes one of them by chance.
    """

    def __init__(
        self, name: str, topics: Sequence[Topic], ports: Ports, recorder: Recorder, chance: random.Random
    ) -> None:
        self.name = name
        self.positions: dict[Topic, tuple[str, int]] = {}
        # The topics to which it is subscribed now.
        self.subscribed: set[Topic] = set()
        self._topics = topics
        self._ports = ports
        self._recorder = recorder
        self._chance = chance
        self._socket: ClientConnection | None = None
        self._is_leaving = False
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Follow until cancelled."""
        while True:
            with suppress(OSError):
                self._socket = await open_socket(self._chance.choice(self._ports()))
                await self._follow(self._socket)
            await asyncio.sleep(AGAIN_S)

    async def leave(self) -> None:
        """End the socket, as a client that loses its network. It comes back by itself."""
        if self._socket is not None:
            self._is_leaving = True
            self._socket.transport.abort()

    async def _follow(self, socket: ClientConnection) -> None:
        self._is_leaving = False
        self.subscribed.clear()
        try:
            # The end of the connection is judged below.
            with suppress(ConnectionClosed):
                for at in range(0, len(self._topics), TOPICS_PER_REQUEST):
                    await self._subscribe(socket, self._topics[at : at + TOPICS_PER_REQUEST])
                async for frame in socket:
                    self._take(socket, json.loads(frame))
        finally:
            self.subscribed.clear()
        if not self._is_leaving:
            code = socket.close_code or 1006
            self._recorder.add(Closed(self._recorder.now_s(), self.name, code))

    async def _subscribe(self, socket: ClientConnection, topics: Sequence[Topic]) -> None:
        asks: list[dict[str, Any]] = []
        for topic in topics:
            asks.append({"topic": topic})
            if topic in self.positions:
                epoch, offset = self.positions[topic]
                asks[-1]["recover"] = {"epoch": epoch, "offset": offset}
        message = {"id": "subscribe", "type": "subscribe", "payload": {"topics": asks}}
        await socket.send(json.dumps(message))

    def _take(self, socket: ClientConnection, message: Any) -> None:
        payload = message.get("payload", {})
        match message["type"]:
            case "publication":
                self._delivered(payload)
            case "subscribed":
                for answer in payload["topics"]:
                    self._answered(socket, answer)
            case "unsubscribed":
                self._told(socket, payload)
            case other:
                raise AssertionError(f"{self.name} got {other}: {payload}")

    def _delivered(self, payload: Any) -> None:
        topic, offset, epoch = payload["topic"], payload["offset"], payload.get("epoch")
        event = Delivered(self._recorder.now_s(), self.name, topic, offset, payload["data"], epoch)
        self._recorder.add(event)
        if topic in self.positions:
            self.positions[topic] = (epoch or self.positions[topic][0], offset)

    def _answered(self, socket: ClientConnection, answer: Any) -> None:
        topic = answer["topic"]
        if "error" in answer:
            assert answer["error"]["retryable"], answer
            self._again(socket, topic)
            return
        publications = tuple((each["offset"], each["data"]) for each in answer["publications"])
        self.positions[topic] = (answer["epoch"], answer["offset"])
        self.subscribed.add(topic)
        now_s = self._recorder.now_s()
        self._recorder.add(
            Subscribed(
                now_s,
                self.name,
                topic,
                answer["epoch"],
                answer["offset"],
                answer["recovered"],
                publications,
            )
        )

    def _told(self, socket: ClientConnection, payload: Any) -> None:
        assert payload["code"] == "unrecoverable_position", payload
        topic = payload["topic"]
        self._recorder.add(Told(self._recorder.now_s(), self.name, topic))
        self.positions.pop(topic, None)
        self.subscribed.discard(topic)
        self._again(socket, topic)

    def _again(self, socket: ClientConnection, topic: Topic) -> None:
        task = asyncio.create_task(self._subscribe_later(socket, topic))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _subscribe_later(self, socket: ClientConnection, topic: Topic) -> None:
        await asyncio.sleep(AGAIN_S)
        with suppress(ConnectionClosed):
            await self._subscribe(socket, [topic])


class Line:
    """One socket with requests and their answers. It connects when it is used, and again after it was lost."""

    def __init__(self, ports: Ports, chance: random.Random) -> None:
        self._ports = ports
        self._chance = chance
        self._ids = itertools.count(1)
        self._socket: ClientConnection | None = None
        self._reader: asyncio.Task[None] | None = None
        self._waiting: dict[str, asyncio.Future[Any]] = {}
        self._connecting = asyncio.Lock()

    async def ask(self, verb: str, payload: Any) -> Any:
        """The answer's message. Raises OSError if none comes: it may have been carried out."""
        socket = await self._connected()
        request_id = str(next(self._ids))
        answer = self._waiting[request_id] = asyncio.get_running_loop().create_future()
        try:
            await socket.send(json.dumps({"id": request_id, "type": verb, "payload": payload}))
            return await asyncio.wait_for(answer, ANSWER_S)
        except ConnectionClosed as error:
            raise ConnectionResetError("the socket ended") from error
        finally:
            self._waiting.pop(request_id, None)

    async def close(self) -> None:
        """End it."""
        if self._socket is not None:
            await self._socket.close()
        if self._reader is not None:
            await asyncio.wait([self._reader])

    async def _connected(self) -> ClientConnection:
        async with self._connecting:
            if self._reader is None or self._reader.done():
                self._socket = await open_socket(self._chance.choice(self._ports()))
                self._reader = asyncio.create_task(self._read(self._socket))
        assert self._socket is not None
        return self._socket

    async def _read(self, socket: ClientConnection) -> None:
        with suppress(ConnectionClosed):
            async for frame in socket:
                message = json.loads(frame)
                answer = self._waiting.get(message.get("id"))
                if answer is not None and not answer.done():
                    answer.set_result(message)
        for answer in self._waiting.values():
            if not answer.done():
                answer.set_exception(ConnectionResetError("the socket ended"))


class Publisher:
    """Publishes numbers to random topics, `per_s` a second. Every second one has a key, and is repeated until answered."""

    def __init__(
        self,
        topics: Sequence[Topic],
        values: "itertools.count[Value]",
        ports: Ports,
        recorder: Recorder,
        chance: random.Random,
        *,
        per_s: float,
    ) -> None:
        self._topics = topics
        self._values = values
        # One for all topics: a topic that has to wait for its server holds up no other.
        self._line = Line(ports, chance)
        self._recorder = recorder
        self._chance = chance
        self._per_s = per_s
        self._may_publish = asyncio.Event()
        self._in_flight: set[asyncio.Task[None]] = set()
        self._failed: list[asyncio.Task[None]] = []

    async def run(self) -> None:
        """Publish until cancelled, while `resume` was called last."""
        while True:
            await self._may_publish.wait()
            await asyncio.sleep(self._chance.expovariate(self._per_s))
            if len(self._in_flight) < IN_FLIGHT_MAX and self._may_publish.is_set():
                topic, is_keyed = self._chance.choice(self._topics), self._chance.random() < 0.5
                publishing = self.insist(topic) if is_keyed else self._try(topic, next(self._values))
                task = asyncio.create_task(publishing)
                self._in_flight.add(task)
                task.add_done_callback(self._done)

    def resume(self) -> None:
        """Publish from now on."""
        self._may_publish.set()

    async def pause(self) -> None:
        """Publish nothing more, and wait for all answers. Raises AssertionError if one was none of those expected."""
        self._may_publish.clear()
        if self._in_flight:
            await asyncio.wait(self._in_flight)
        for task in self._failed:
            task.result()

    async def insist(self, topic: Topic) -> None:
        """Publish with a key, and again until it is answered."""
        value = next(self._values)
        self._recorder.add(Attempted(self._recorder.now_s(), topic, value))
        key = {"idempotency_key": f"key {value}"}
        while not await self._publish(topic, value, key):
            await asyncio.sleep(AGAIN_S)
            self._recorder.add(Repeated(self._recorder.now_s(), topic, value))

    async def close(self) -> None:
        """End its socket."""
        await self._line.close()

    def _done(self, task: asyncio.Task[None]) -> None:
        self._in_flight.discard(task)
        if not task.cancelled() and task.exception():
            self._failed.append(task)

    async def _try(self, topic: Topic, value: Value) -> None:
        self._recorder.add(Attempted(self._recorder.now_s(), topic, value))
        await self._publish(topic, value, {})

    async def _publish(self, topic: Topic, value: Value, key: dict[str, str]) -> bool:
        try:
            answer = await self._line.ask("publish", {"topic": topic, "data": value} | key)
        except OSError:
            return False
        if answer["type"] == "error":
            assert answer["payload"]["retryable"], answer
            return False
        payload = answer["payload"]
        now_s = self._recorder.now_s()
        self._recorder.add(Acknowledged(now_s, topic, value, payload["epoch"], payload["offset"]))
        return True
