"""A crowd that lost its connections comes back and recovers, and what that costs server and broker."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Any

from bench.load.broker import commands
from bench.load.job import Job, announce_window, at_once
from bench.load.meter import Usage
from bench.load.sockets import Socket, disconnect

TOPICS = 50
MISSED = 3
SETTLE_S = 1.0

Answers = Sequence[Mapping[str, Any]]


async def storm(job: Job) -> dict[str, float]:
    """`us` of server CPU a recovered subscription, and the broker's commands a topic and node (0 without one).

    `job.members` sockets follow the same 50 topics, are cut off, miss 3 publications of each, and come back.
    """
    sockets = await _open_all(job)
    topics = [f"storm-{number}" for number in range(TOPICS)]
    answers = await _subscribe(sockets, [{"topic": topic} for topic in topics])
    await disconnect(sockets)
    await asyncio.sleep(SETTLE_S)
    await _publish(job, topics)
    sockets = await _open_all(job)
    wishes = [
        {"topic": each["topic"], "recover": {"epoch": each["epoch"], "offset": each["offset"]}}
        for each in answers[0]
    ]
    await asyncio.sleep(SETTLE_S)
    commands_before = await commands(job.redis_url)
    announce_window(0.0)
    before = Usage.now(job.pids)
    again = await _subscribe(sockets, wishes)
    figures = Usage.now(job.pids).figures(before, job.members * TOPICS)
    asked = await commands(job.redis_url) - commands_before
    await disconnect(sockets)
    whole = sum(
        each["recovered"] is True and len(each["publications"]) == MISSED
        for answer in again
        for each in answer
    )
    return figures | {
        "commands": asked / TOPICS / len(job.ports),
        "not_whole": float(job.members * TOPICS - whole),
    }


async def _open_all(job: Job) -> list[Socket]:
    return await at_once(job.members, lambda number: job.speech.open(job.port(number), job.token(number)))


async def _subscribe(sockets: Sequence[Socket], wishes: Sequence[Mapping[str, Any]]) -> list[Answers]:
    message = {"id": "storm", "type": "subscribe", "payload": {"topics": wishes}}
    frame = json.dumps(message).encode()
    for socket in sockets:
        socket.send(frame)
    replies = await asyncio.gather(*(socket.receive_with(b'"id":"storm"') for socket in sockets))
    return [json.loads(reply)["payload"]["topics"] for reply in replies]


async def _publish(job: Job, topics: Sequence[str]) -> None:
    publisher = await job.speech.open(job.port(0), job.token(0))
    for topic in topics:
        for number in range(MISSED):
            payload = {"topic": topic, "data": number}
            publisher.send(json.dumps({"id": "p", "type": "publish", "payload": payload}).encode())
            await publisher.receive_with(b'"published"')
    await disconnect([publisher])
