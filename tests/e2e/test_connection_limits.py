"""How many connections a process, an address and a user may have."""

import asyncio
import contextlib

import pytest

from tests.e2e.raw import handshake, http_exchange, tcp
from tests.e2e.talk import WAIT_S, Talk
from tests.e2e.visitor import Visitor

PATH = "/ws/echo/"
MOST = 20

pytestmark = pytest.mark.kinds("serve", "daphne")

few_in_all = pytest.mark.settings(REALTIME_MAX_CONNECTIONS=MOST)
# Whoever has a name meets the limit of users first; the others have none.
few_each = pytest.mark.settings(REALTIME_MAX_CONNECTIONS_PER_IP=5, REALTIME_MAX_CONNECTIONS_PER_USER=2)


async def fill(stack: contextlib.AsyncExitStack, visitor: Visitor, count: int, **options: str) -> list[Talk]:
    """`count` open sockets. The places of the test before may still be about to be given up."""
    return [await stack.enter_async_context(visitor.reopen(PATH, **options)) for _ in range(count)]


async def assert_limit(visitor: Visitor, limit: int, status: int, close: int, **options: str) -> None:
    """The socket after `limit` is refused, the others live, and a place given up can be taken."""
    async with contextlib.AsyncExitStack() as stack:
        talks = await fill(stack, visitor, limit, **options)
        await visitor.assert_refused(PATH, status, close, **options)
        assert all([await talk.is_alive() for talk in talks])
    async with visitor.reopen(PATH, **options) as talk:
        assert await talk.is_alive()


@few_in_all
async def test_of_a_process(acme: Visitor) -> None:
    await assert_limit(acme, MOST, 503, 4503)


@few_each
async def test_of_an_address(acme: Visitor) -> None:
    await assert_limit(acme, 5, 429, 4429)


async def status_of(stack: contextlib.AsyncExitStack, visitor: Visitor, changed: dict[str, str]) -> int:
    """Of a handshake's answer; an open socket stays so."""
    reader, writer = await stack.enter_async_context(tcp(visitor))
    writer.write(handshake(visitor, PATH, dict(changed)))
    async with asyncio.timeout(WAIT_S):
        return int((await reader.readuntil(b"\r\n\r\n")).split(b" ")[1])


async def assert_limit_of_addresses(visitor: Visitor, few: list[str], other: str) -> None:
    """The addresses `few`, as a proxy tells them, fill their one limit; another is let in."""
    async with contextlib.AsyncExitStack() as stack:
        for address in few:
            assert await status_of(stack, visitor, {"X-Forwarded-For": address}) == 101
        for address, status in ((few[0], 429), (few[-1], 429), (other, 101)):
            assert await status_of(stack, visitor, {"X-Forwarded-For": address}) == status, address


@pytest.mark.settings(REALTIME_MAX_CONNECTIONS_PER_IP=3, REALTIME_TRUSTED_PROXIES="::1,127.0.0.0/8")
@pytest.mark.kinds("serve")
async def test_an_address_is_what_one_customer_has(acme: Visitor) -> None:
    few = ["2001:db8:1:2::1", "2001:db8:1:2::2", "2001:db8:1:2:3:4:5:6"]
    await assert_limit_of_addresses(acme, few, "2001:db8:1:3::1")
    await assert_limit_of_addresses(acme, ["192.0.2.1", "::ffff:192.0.2.1", "::ffff:c000:201"], "192.0.2.2")


@pytest.mark.settings(REALTIME_MAX_CONNECTIONS_PER_IP=3)
@pytest.mark.kinds("serve")
async def test_a_proxy_that_is_not_trusted_is_one_address_and_that_is_logged_once(acme: Visitor) -> None:
    async with contextlib.AsyncExitStack() as stack:
        for number in range(3):
            assert await status_of(stack, acme, {"X-Forwarded-For": f"192.0.2.{number}"}) == 101
        for number in range(3):
            assert await status_of(stack, acme, {"X-Forwarded-For": f"192.0.2.1{number}"}) == 429
    assert acme.server.log().count("name it in REALTIME_TRUSTED_PROXIES") == 1


@pytest.mark.settings(REALTIME_MAX_CONNECTIONS_PER_IP=4)
@pytest.mark.kinds("serve")
async def test_refused_browsers_are_counted_and_soon_gone(acme: Visitor) -> None:
    told = handshake(acme, PATH, {"Origin": "http://evil.example", "Sec-WebSocket-Protocol": "rockstar.v1"})
    async with contextlib.AsyncExitStack() as stack:
        pairs = [await stack.enter_async_context(tcp(acme)) for _ in range(4)]
        for reader, writer in pairs:
            writer.write(told)
            async with asyncio.timeout(WAIT_S):
                assert b" 101 " in await reader.readuntil(b"\r\n\r\n")
        # They are four that are no open sockets; more are not accepted.
        answer = await http_exchange(acme, told)
        assert (answer.status_code, answer.headers["retry-after"]) == (429, "5")
        # They never answer the close frame.
        async with asyncio.timeout(5):
            for reader, _ in pairs:
                await reader.read()
    async with acme.reopen(PATH) as talk:
        assert await talk.is_alive()


@pytest.mark.kinds("serve")
async def test_half_sent_heads_keep_nobody_else_out(acme: Visitor) -> None:
    async with contextlib.AsyncExitStack() as stack:
        pairs = [await stack.enter_async_context(tcp(acme)) for _ in range(230)]
        for _, writer in pairs:
            writer.write(b"GET / HTTP/1.1\r\nX: ")
        # By default an address has 200 of them.
        ends = [asyncio.create_task(reader.read()) for reader, _ in pairs]
        async with asyncio.timeout(5):
            while sum(end.done() for end in ends) < 30:  # noqa: ASYNC110 they come one by one
                await asyncio.sleep(0.05)
        answers = [end.result() for end in ends if end.done()]
        assert all(answer.startswith(b"HTTP/1.1 429 ") for answer in answers)
        for end in ends:
            end.cancel()
        await asyncio.gather(*ends, return_exceptions=True)


@pytest.mark.settings(REALTIME_HTTP_HEAD_TIMEOUT_S=0.3, REALTIME_HTTP_BODY_BYTES=1000)
@pytest.mark.kinds("serve")
async def test_plain_http_has_deadlines_and_bounds(acme: Visitor) -> None:
    host = f"Host: acme.localhost:{acme.server.port}\r\n".encode()
    assert (await http_exchange(acme, b"GET / HTTP/1.1\r\n" + host)).status_code == 408
    for path in (b"/api/token/", b"/nonexistent", b"/ws/echo/"):
        start = b"POST " + path + b" HTTP/1.1\r\n" + host
        chunks = b"Transfer-Encoding: chunked\r\n\r\n" + (b"64\r\n" + b"x" * 100 + b"\r\n") * 20
        if path == b"/api/token/":
            assert (await http_exchange(acme, start + chunks)).status_code == 413
        answer = await http_exchange(acme, start + b"Content-Length: 1001\r\n\r\n")
        assert answer.status_code == 413
        assert answer.json()["error"]["code"] == "message_too_large"


@few_each
async def test_of_a_user(acme: Visitor) -> None:
    token = await acme.token()
    await assert_limit(acme, 2, 429, 4429, token=token)


@few_each
async def test_another_user_does_not_notice(acme: Visitor) -> None:
    async with contextlib.AsyncExitStack() as stack:
        await fill(stack, acme, 2, token=await acme.token("alice"))
        for options in ({"token": await acme.token("bob")}, {}):
            async with acme.reopen(PATH, **options) as talk:
                assert await talk.is_alive()


@pytest.mark.settings(
    REALTIME_MAX_CONNECTIONS=0, REALTIME_MAX_CONNECTIONS_PER_IP=0, REALTIME_MAX_CONNECTIONS_PER_USER=0
)
@pytest.mark.kinds("serve")
async def test_zero_switches_them_off(acme: Visitor) -> None:
    async with contextlib.AsyncExitStack() as stack:
        await fill(stack, acme, 5, token=await acme.token())
        async with acme.open(PATH, token=await acme.token()) as talk:
            assert await talk.is_alive()


@pytest.mark.settings(REALTIME_ATTEMPTS_PER_S=0.001, REALTIME_ATTEMPTS_BURST=5)
@pytest.mark.kinds("serve")
async def test_attempts_of_an_address(acme: Visitor) -> None:
    statuses = [(await acme.refusal(PATH, token="bad.bad.bad")).status_code for _ in range(8)]
    assert statuses[0] == 401
    assert statuses[-1] == 429
    answer = await acme.refusal(PATH, token="bad.bad.bad")
    assert int(answer.headers["retry-after"]) >= 1


# On a server of its own: whoever leaves while these come would make room for more.
@pytest.mark.settings(REALTIME_MAX_CONNECTIONS=MOST, TEST="at once")
@pytest.mark.kinds("serve")
async def test_many_at_once_never_exceed_the_limit(acme: Visitor) -> None:
    async with contextlib.AsyncExitStack() as stack:
        tries = [stack.enter_async_context(acme.open(PATH)) for _ in range(2 * MOST)]
        outcomes = await asyncio.gather(*tries, return_exceptions=True)
        opened = [outcome for outcome in outcomes if isinstance(outcome, Talk)]
        assert len(opened) == MOST
