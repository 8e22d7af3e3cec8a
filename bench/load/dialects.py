"""How each server is spoken to: its paths, its way into a room, its publications."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from bench.load.sockets import Socket, connect
from bench.load.texts import STAMP_BYTES


class Dialect(Protocol):
    """One server's language. A room is a topic, group or channel; its name is plain letters and digits."""

    # Whether one frame may hold several messages, a line each.
    has_batches: bool
    # Whether members publish; else publishers are sockets of their own.
    members_publish: bool

    async def open(self, port: int, token: str) -> Socket:
        """A connection that is ready to join."""
        ...

    async def join(self, socket: Socket, room: str) -> None:
        """Make it a member, for sure."""
        ...

    async def open_publisher(self, port: int, room: str) -> Socket:
        """A connection for `publication`, where members do not publish."""
        ...

    def publication(self, room: str, text: bytes) -> bytes:
        """The frame that publishes `text`."""
        ...

    async def open_echo(self, port: int, token: str) -> Socket:
        """A connection that echoes."""
        ...

    def echo(self, text: bytes) -> bytes:
        """The frame that makes the server send `text` back."""
        ...


def members_only(port: int, room: str) -> Socket:
    """For dialects whose members publish."""
    raise NotImplementedError(f"Members publish in {room} on port {port}.")


@dataclass
class Rockstar:
    """Ours. With `has_batches` the client offers to take several messages a frame."""

    host: str = "acme.localhost"
    members_publish: bool = True
    has_batches: bool = False

    async def open(self, port: int, token: str) -> Socket:
        """Signed in on `/ws/pubsub/`, welcomed."""
        socket = await self.connect(port, "/ws/pubsub/", token)
        await socket.receive_with(b'"welcome"')
        return socket

    async def connect(self, port: int, path: str, token: str) -> Socket:
        """After the handshake, by header where there is a token."""
        headers = {"Host": f"{self.host}:{port}"}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        if self.has_batches:
            headers["Sec-WebSocket-Protocol"] = "rockstar.v1.batch, rockstar.v1"
        socket = await connect(port, path, headers=headers, answers={})
        if self.has_batches and "rockstar.v1.batch" not in _subprotocol(socket):
            raise NotImplementedError("The server does not offer rockstar.v1.batch.")
        return socket

    async def join(self, socket: Socket, room: str) -> None:
        """Subscribe."""
        socket.send(b'{"id":"s","type":"subscribe","payload":{"topic":"%s"}}' % room.encode())
        frame = await socket.receive_with(b'"id":"s"')
        if b'"subscribed"' not in frame:
            raise ConnectionError(f"Not subscribed: {frame!r}")

    async def open_publisher(self, port: int, room: str) -> Socket:
        """Not needed."""
        return members_only(port, room)

    def publication(self, room: str, text: bytes) -> bytes:
        """Without an id: success is silent."""
        return b'{"type":"publish","payload":{"topic":"%s","data":"%s"}}' % (room.encode(), text)

    async def open_echo(self, port: int, token: str) -> Socket:
        """`/ws/echo/`."""
        return await self.connect(port, "/ws/echo/", token)

    def echo(self, text: bytes) -> bytes:
        """As it is."""
        return text


@dataclass
class RockstarRpc(Rockstar):
    """Our `get_user`, as an echo of its own."""

    async def open_echo(self, port: int, token: str) -> Socket:
        """`/ws/rpc/`, welcomed."""
        socket = await self.connect(port, "/ws/rpc/", token)
        await socket.receive_with(b'"welcome"')
        return socket

    def echo(self, text: bytes) -> bytes:
        """A call; the text's stamp, being unique, is its id."""
        return b'{"id":"%s","type":"get_user","payload":{"user_id":1}}' % text[:STAMP_BYTES]


@dataclass
class NodeWs:
    """bench/peers/ws.js."""

    members_publish: bool = True
    has_batches: bool = False

    async def open(self, port: int, token: str) -> Socket:
        """Every socket on /room is a member."""
        return await connect(port, "/room", headers={}, answers={})

    async def join(self, socket: Socket, room: str) -> None:
        """Has happened; a round trip says that the server knows."""
        socket.send(b"?")
        await socket.receive()

    async def open_publisher(self, port: int, room: str) -> Socket:
        """Not needed."""
        return members_only(port, room)

    def publication(self, room: str, text: bytes) -> bytes:
        """As a chat would: a JSON object."""
        return b'{"type":"msg","text":"%s"}' % text

    async def open_echo(self, port: int, token: str) -> Socket:
        """/echo."""
        return await connect(port, "/echo", headers={}, answers={})

    def echo(self, text: bytes) -> bytes:
        """As it is."""
        return text


@dataclass
class SocketIo:
    """bench/peers/socketio.js, in the Socket.IO protocol 5 over Engine.IO 4, websocket only."""

    members_publish: bool = True
    has_batches: bool = False

    async def open(self, port: int, token: str) -> Socket:
        """Engine.IO's open packet, then the namespace's connect and its answer."""
        path = "/socket.io/?EIO=4&transport=websocket"
        socket = await connect(port, path, headers={}, answers={b"2": b"3"})
        await socket.receive_with(b'"sid"')
        socket.send(b"40")
        await socket.receive_with(b"40{")
        return socket

    async def join(self, socket: Socket, room: str) -> None:
        """An event with an acknowledgement."""
        socket.send(b'421["join","%s"]' % room.encode())
        await socket.receive_with(b"431")

    async def open_publisher(self, port: int, room: str) -> Socket:
        """Not needed."""
        return members_only(port, room)

    def publication(self, room: str, text: bytes) -> bytes:
        """The server emits it to the room."""
        return b'42["msg","%s","%s"]' % (room.encode(), text)

    async def open_echo(self, port: int, token: str) -> Socket:
        """Any socket echoes."""
        return await self.open(port, token)

    def echo(self, text: bytes) -> bytes:
        """An event that is emitted back."""
        return b'42["echo","%s"]' % text


@dataclass
class Channels:
    """bench/peers/channels_site.py: the consumer of Channels' tutorial."""

    members_publish: bool = True
    has_batches: bool = False

    async def open(self, port: int, token: str) -> Socket:
        """The tutorial joins as it connects, so there is one room."""
        return await connect(port, "/ws/chat/bench/", headers={}, answers={})

    async def join(self, socket: Socket, room: str) -> None:
        """Has happened before the handshake was answered."""

    async def open_publisher(self, port: int, room: str) -> Socket:
        """Not needed."""
        return members_only(port, room)

    def publication(self, room: str, text: bytes) -> bytes:
        """The tutorial's message."""
        return b'{"message": "%s"}' % text

    async def open_echo(self, port: int, token: str) -> Socket:
        """/ws/echo/."""
        return await connect(port, "/ws/echo/", headers={}, answers={})

    def echo(self, text: bytes) -> bytes:
        """As it is."""
        return text


@dataclass
class Nchan:
    """bench/peers/nchan.conf: nginx with nchan; publishers are websockets of their own."""

    members_publish: bool = False
    has_batches: bool = False

    async def open(self, port: int, token: str) -> Socket:
        """A subscriber of the one channel."""
        return await connect(port, "/sub/bench", headers={}, answers={})

    async def join(self, socket: Socket, room: str) -> None:
        """Has happened."""

    async def open_publisher(self, port: int, room: str) -> Socket:
        """/pub/; it answers each message with a line that nobody reads."""
        socket = await connect(port, "/pub/bench", headers={}, answers={})
        socket.sink = lambda frame: None
        return socket

    def publication(self, room: str, text: bytes) -> bytes:
        """As a chat would: a JSON object."""
        return b'{"type":"msg","text":"%s"}' % text

    async def open_echo(self, port: int, token: str) -> Socket:
        """There is none."""
        raise NotImplementedError("nchan does not echo.")

    def echo(self, text: bytes) -> bytes:
        """There is none."""
        return text


def dialect_of(name: str) -> Dialect:
    """The dialect a job names."""
    dialects: Mapping[str, Dialect] = {
        "rockstar": Rockstar(),
        "rockstar-batch": Rockstar(has_batches=True),
        "rockstar-rpc": RockstarRpc(),
        "node-ws": NodeWs(),
        "socketio": SocketIo(),
        "channels": Channels(),
        "nchan": Nchan(),
    }
    return dialects[name]


def _subprotocol(socket: Socket) -> str:
    return str(socket.transport.response.headers.get("Sec-WebSocket-Protocol", ""))
