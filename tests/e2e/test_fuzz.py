"""Thousands of random and mutated frames on each JSON endpoint: each is answered, none harms."""

import os
import random

import pytest
from websockets.exceptions import ConnectionClosed

from tests.e2e.frames import Frame, FrameMaker
from tests.e2e.talk import Talk
from tests.e2e.visitor import Visitor
from tests.servers.pool import METRICS_TOKEN

FRAMES = int(os.environ.get("FUZZ_FRAMES", "5000"))
BATCH = 15
PATHS = ["/ws/pubsub/", "/ws/rpc/", "/ws/stream/?interval=60", "/ws/data/", "/ws/session/", "/ws/chat/"]

# A failing seed is in the message of the failure and can be given back.
SEED = int(os.environ.get("FUZZ_SEED", str(random.SystemRandom().randrange(10**6))))

pytestmark = [pytest.mark.settings(TEST="fuzz"), pytest.mark.timeout(300)]


@pytest.mark.parametrize("path", PATHS)
async def test_fuzz(acme: Visitor, path: str) -> None:
    maker = FrameMaker(SEED)
    options = {"cookie": await acme.session()} if path == "/ws/session/" else {"token": await acme.token()}
    sent = 0
    while sent < FRAMES:
        async with acme.open_json(path, **options) as talk:
            sent += await until_closed(talk, maker, FRAMES - sent)
    acme.server.check_log()
    assert await subscriptions(acme) == 0
    async with acme.open("/ws/echo/") as talk:
        assert await talk.is_alive()


async def until_closed(talk: Talk, maker: FrameMaker, most: int) -> int:
    """Send batches until `most` were sent or the documented limit closed the socket; how many were sent."""
    sent = 0
    try:
        while sent < most:
            batch = [maker.frame() for _ in range(min(BATCH, most - sent))]
            sent += len(batch)
            await send_batch(talk, batch, sent)
    except ConnectionClosed:
        code, reason = await talk.closed()
        assert code == 4400, f"seed {SEED}: closed with {code} {reason!r}"
    return sent


async def send_batch(talk: Talk, batch: list[Frame], number: int) -> None:
    """Send `batch` and see that all of it was answered."""
    for frame in batch:
        await talk.send_frame(frame.data)
    end = f"end-{number}"
    await talk.send("ping", id=end)
    wanted = {frame.request_id for frame in batch if frame.request_id} | {end}
    errors = 0
    while wanted:
        message = await talk.message()
        wanted.discard(message.get("id"))
        errors += message["type"] == "error"
    must_fail = sum(frame.must_fail for frame in batch)
    assert errors >= must_fail, f"seed {SEED}: {errors} errors for {must_fail} faulty frames"


async def subscriptions(visitor: Visitor) -> float:
    """The server's gauge of subscriptions, once it has come to rest."""
    for _ in range(100):
        headers = {"Authorization": f"Bearer {METRICS_TOKEN}"}
        page = (await visitor.http.get("/metrics", headers=headers)).text
        lines = [line for line in page.splitlines() if "subscriptions" in line and not line.startswith("#")]
        count = sum(float(line.rsplit(" ", 1)[1]) for line in lines)
        if count == 0:
            break
    assert lines, page
    return count
