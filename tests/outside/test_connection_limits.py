"""How many connections a process, an address and a user may have."""

import asyncio
import contextlib

import pytest

from tests.outside.talk import Talk
from tests.outside.visitor import Visitor

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
