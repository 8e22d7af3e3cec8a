"""One connection to a broker, against a server that says what each test wants, and the calls over it."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from realtime.core.broker_url import parse_broker_url
from realtime.core.topics import TopicKey
from realtime.topics.engine.broker import Broker, Script
from realtime.topics.engine.broker_connection import (
    BrokerConnection,
    ConnectionLostError,
    NotSentError,
    ReplyError,
    connect,
    connection_options,
)
from realtime.topics.engine.names import Names, group_name
from tests.engine.fake_server import OK, Answer, FakeServer, bulk, push
from tests.servers.ports import free_port

DEADLINE_S = 0.4
Serve = Callable[[Answer], Awaitable[FakeServer]]


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    servers: list[FakeServer] = []

    async def start(answer: Answer) -> FakeServer:
        server = FakeServer(answer)
        servers.append(server)
        await server.start()
        return server

    yield start
    for server in servers:
        await server.stop()


async def open_to(server: FakeServer, pushes: list[Any] | None = None, url: str = "") -> BrokerConnection:
    options = connection_options(parse_broker_url(url or server.url))
    on_push = None if pushes is None else pushes.append
    place = ("127.0.0.1", server.port)
    return await connect(place, options, deadline_s=DEADLINE_S, on_push=on_push)


def echo(command: list[bytes]) -> bytes:
    return bulk(b" ".join(command))


async def test_what_is_called_in_one_turn_is_one_write_and_answered_in_order(serve: Serve) -> None:
    server = await serve(echo)
    connection = await open_to(server)
    calls = [connection.call("ECHO", number) for number in range(50)]
    assert await asyncio.gather(*calls) == [b"ECHO %d" % number for number in range(50)]
    assert server.reads[-1] == 50
    connection.close()


async def test_errors_belong_to_their_calls(serve: Serve) -> None:
    server = await serve(lambda command: b"-LOADING data\r\n" if command[0] == b"GET" else OK)
    connection = await open_to(server)
    bad, good = connection.call("GET", "x"), connection.call("SET", "x", 1)
    with pytest.raises(ReplyError) as caught:
        await bad
    assert caught.value.code == "LOADING"
    assert await good == b"OK"
    connection.close()


async def test_a_caller_that_is_cancelled_takes_no_reply_from_others(serve: Serve) -> None:
    server = await serve(echo)
    connection = await open_to(server)
    first, second = connection.call("A"), connection.call("B")
    first.cancel()
    assert await second == b"B"
    connection.close()


async def test_what_was_sent_may_have_been_carried_out_and_the_rest_was_not(serve: Serve) -> None:
    server = await serve(lambda command: b"")
    connection = await open_to(server)
    sent = connection.call("A")
    await asyncio.sleep(0.05)
    assert [b"A"] in server.commands
    unsent = connection.call("B")
    connection.close()
    with pytest.raises(ConnectionLostError):
        await sent
    with pytest.raises(NotSentError):
        await unsent
    with pytest.raises(NotSentError):
        await connection.call("C")


async def test_a_server_that_is_silent_is_given_up(serve: Serve) -> None:
    server = await serve(lambda command: b"")
    connection = await open_to(server)
    lost = asyncio.Event()
    connection.on_lost = lost.set
    with pytest.raises(ConnectionLostError):
        await asyncio.wait_for(connection.call("PING"), 10 * DEADLINE_S)
    assert lost.is_set()


async def test_one_that_answers_slowly_is_not(serve: Serve) -> None:
    server = await serve(lambda command: b"")
    connection = await open_to(server)
    calls = [connection.call("A") for _ in range(4)]
    for call in calls:
        await asyncio.sleep(DEADLINE_S / 2)
        server.tell(OK)
        assert await call == b"OK"
    connection.close()


async def test_an_event_loop_that_was_held_up_is_no_silence(serve: Serve) -> None:
    server = await serve(echo)
    connection = await open_to(server)
    call = connection.call("A")
    await asyncio.sleep(0)
    time.sleep(2 * DEADLINE_S)  # noqa: ASYNC251 as a handler does that holds the loop
    assert await call == b"A"
    connection.close()


@pytest.mark.parametrize("rubbish", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"+a\r\n+b\r\n+c\r\n"])
async def test_a_server_of_another_kind_is_left(serve: Serve, rubbish: bytes) -> None:
    server = await serve(lambda command: rubbish)
    connection = await open_to(server)
    call = connection.call("PING")
    await asyncio.wait([call])
    await asyncio.wait_for(connection.closed(), DEADLINE_S * 4)
    assert not connection.is_open


async def test_confirmations_are_told_apart_from_what_the_server_does_by_itself(serve: Serve) -> None:
    def answer(command: list[bytes]) -> bytes:
        if command[0] in {b"SSUBSCRIBE", b"SUNSUBSCRIBE"}:
            return b"".join(push(command[0].lower(), name, b"1") for name in command[1:])
        return OK

    server = await serve(answer)
    pushes: list[Any] = []
    connection = await open_to(server, pushes)
    confirmed: list[bytes] = []
    both = connection.confirmed(b"SSUBSCRIBE", [b"a", b"b"], confirmed.append)
    ping = connection.call("PING")
    await both
    assert await ping == b"OK"
    await connection.confirmed(b"SUNSUBSCRIBE", [b"a"], confirmed.append)
    assert confirmed == [b"a", b"b", b"a"]
    server.tell(push(b"sunsubscribe", b"b", b"0") + push(b"smessage", b"b", b"text"))
    while len(pushes) < 2:  # noqa: ASYNC110 a fake has nothing to wait for
        await asyncio.sleep(0.01)
    assert [each[:2] for each in pushes] == [[b"sunsubscribe", b"b"], [b"smessage", b"b"]]
    connection.close()


async def test_a_refused_subscription_fails_and_what_follows_is_answered(serve: Serve) -> None:
    server = await serve(lambda command: b"-MOVED 1 h:2\r\n" if command[0] == b"SSUBSCRIBE" else OK)
    connection = await open_to(server, [])
    refused = connection.confirmed(b"SSUBSCRIBE", [b"a"], lambda name: None)
    ping = connection.call("PING")
    with pytest.raises(ReplyError, match="MOVED"):
        await refused
    assert await ping == b"OK"
    connection.close()


async def test_a_replica_is_no_primary(serve: Serve) -> None:
    roles = [b"role:slave\r\n", b"role:master\r\n"]
    server = await serve(lambda command: bulk(roles.pop(0)))
    url = f"redis+sentinel://127.0.0.1:{server.port}/m"
    with pytest.raises(NotSentError, match="replica"):
        await open_to(server, url=url)
    (await open_to(server, url=url)).close()


async def test_user_password_and_database_are_sent(serve: Serve) -> None:
    server = await serve(lambda command: OK)
    url = f"redis://web:p%40ss@127.0.0.1:{server.port}/3?client_name=site"
    (await open_to(server, url=url)).close()
    assert server.commands == [
        [b"HELLO", b"3", b"AUTH", b"web", b"p@ss", b"SETNAME", b"site"],
        [b"SELECT", b"3"],
    ]


# Calls of a broker


@pytest.fixture
async def broker_of() -> AsyncIterator[Callable[[FakeServer], Broker]]:
    brokers: list[Broker] = []

    def make(server: FakeServer) -> Broker:
        brokers.append(Broker(server.url, deadline_s=DEADLINE_S))
        # A busy machine takes its time, too.
        brokers[-1]._repeat_s = 10.0
        return brokers[-1]

    yield make
    for broker in brokers:
        await broker.close()


def calls_of(server: FakeServer) -> list[bytes]:
    return [command[0] for command in server.commands if command[0] != b"HELLO"]


async def test_what_was_certainly_not_carried_out_is_repeated(serve: Serve, broker_of: Any) -> None:
    answers = [b"-LOADING data\r\n", b"-READONLY no\r\n", b"-TRYAGAIN x\r\n", OK]
    server = await serve(lambda command: answers.pop(0))
    assert await broker_of(server).call(0, "SET", "x", 1) == b"OK"
    assert calls_of(server) == [b"SET"] * 4


async def test_repeating_ends(serve: Serve, broker_of: Any) -> None:
    server = await serve(lambda command: b"-LOADING data\r\n")
    broker = broker_of(server)
    broker._repeat_s = 0.1
    with pytest.raises(ReplyError, match="LOADING"):
        await broker.call(0, "SET", "x", 1)


async def test_a_connection_that_ends_before_the_call_is_sent_is_no_failure(
    serve: Serve, broker_of: Any
) -> None:
    server = await serve(lambda command: OK)
    broker = broker_of(server)
    await broker.call(0, "SET", "x", 1)
    (connection,) = broker._connections.values()
    calling = asyncio.create_task(broker.call(0, "SET", "x", 2))
    # The server's end is noticed after the call was made, in the same turn of the loop.
    asyncio.get_running_loop().call_soon(connection.close)
    assert await calling == b"OK"


async def test_closing_ends_every_connection_though_it_is_cancelled(serve: Serve, broker_of: Any) -> None:
    broker = broker_of(await serve(lambda command: OK))
    await broker.call(0, "SET", "x", 1)
    await broker.call(0, "GET", "x", is_read=True)
    connections = list(broker._connections.values())
    assert len(connections) == 2
    closing = asyncio.create_task(broker.close())
    await asyncio.sleep(0)
    closing.cancel()
    await asyncio.gather(closing, return_exceptions=True)
    assert not any(connection.is_open for connection in connections)


async def test_a_call_that_is_repeated_opens_nothing_after_the_end(serve: Serve, broker_of: Any) -> None:
    was_heard = asyncio.Event()

    def answer(command: list[bytes]) -> bytes:
        was_heard.set()
        return b"-LOADING data\r\n"

    server = await serve(answer)
    broker = broker_of(server)
    calling = asyncio.create_task(broker.call(0, "SET", "x", 1, is_repeatable=True))
    await was_heard.wait()
    await broker.close()
    with pytest.raises(NotSentError, match="closed"):
        await calling
    assert len(server.writers) == 1


async def test_what_may_have_been_carried_out_is_not(serve: Serve, broker_of: Any) -> None:
    server = await serve(lambda command: None)
    broker = broker_of(server)
    with pytest.raises(ConnectionLostError):
        await broker.call(0, "SET", "x", 1)
    assert calls_of(server) == [b"SET"]
    with pytest.raises(ConnectionLostError):
        await broker.call(0, "GET", "x", is_read=True, is_repeatable=True)
    assert calls_of(server) == [b"SET", b"GET", b"GET"]


async def test_who_comes_after_a_server_hung_does_not_wait_as_long(serve: Serve, broker_of: Any) -> None:
    server = await serve(lambda command: b"" if command[0] == b"GET" else OK)
    broker = broker_of(server)
    broker.deadline_s, broker._repeat_s = 5.0, 0.05
    assert await broker.call(0, "SET", "x", 1) == b"OK"
    server.goes_on.clear()
    lost = broker.call(0, "GET", "x")
    (connection,) = broker._connections.values()
    waiting = asyncio.create_task(lost)
    await asyncio.sleep(0.05)
    connection.close()
    with pytest.raises(ConnectionLostError):
        await waiting
    for _ in range(3):
        with pytest.raises(NotSentError):
            await asyncio.wait_for(broker.call(0, "SET", "x", 1), 1)
    server.goes_on.set()
    async with asyncio.timeout(5):
        while True:
            try:
                assert await broker.call(0, "SET", "x", 1) == b"OK"
            except NotSentError:
                continue
            break


async def test_other_errors_are_not_repeated(serve: Serve, broker_of: Any) -> None:
    server = await serve(lambda command: b"-NOREPLICAS too few\r\n")
    with pytest.raises(ReplyError):
        await broker_of(server).call(0, "SET", "x", 1)
    assert calls_of(server) == [b"SET"]


async def test_a_script_that_the_server_does_not_know_is_sent_whole(serve: Serve, broker_of: Any) -> None:
    server = await serve(lambda command: b"-NOSCRIPT none\r\n" if command[0] == b"EVALSHA" else OK)
    assert await broker_of(server).run(Script("return 1"), 0, ["k"], [7]) == b"OK"
    assert server.commands[-1] == [b"EVAL", b"return 1", b"1", b"k", b"7"]


async def test_a_server_that_is_not_there_fails_at_once() -> None:
    broker = Broker(f"redis://127.0.0.1:{free_port()}/0")
    with pytest.raises(NotSentError):
        await asyncio.wait_for(broker.call(0, "PING"), 1)
    await broker.close()


def test_all_of_a_topic_has_one_hash_tag() -> None:
    for names in (Names("site", 1), Names("site", 128)):
        key = TopicKey("acme", "news")
        topic = names.topic(key)
        tag = topic.meta.split("{")[1].split("}")[0]
        used = names.used(topic, 7, "once")
        shared = names.shared(topic.partition)
        for name in (topic.stream, topic.channel, used, *shared, names.channel(group_name(key))[1]):
            assert f"{{{tag}}}" in name
            assert name.startswith("site:")
