"""The chat: senders who wait for the word that a message is stored, members who get what is said."""

import asyncio
import json
import uuid
from dataclasses import dataclass, field
from typing import Any

from picows import WSFrame

from bench.load.dialects import Rockstar
from bench.load.fanout import silence
from bench.load.job import Job, announce_window, at_once
from bench.load.meter import Usage, percentile_ms
from bench.load.sockets import Socket, connect, disconnect
from bench.load.tally import Tally
from bench.load.texts import Publisher

SENDERS = 100
WARM_UP_S = 0.5
SETTLE_S = 2.0


@dataclass
class Acknowledged:
    """What the senders know to be stored."""

    got: int = 0
    refused: int = 0
    goes_on: bool = True
    latencies_ns: list[int] = field(default_factory=list)


async def chat(job: Job) -> dict[str, float]:
    """Messages stored, acknowledged and delivered to all members, per second."""
    members = await at_once(job.members, lambda number: _member(job, number))
    senders = await at_once(SENDERS, lambda number: _sender(job, number))
    tally = Tally(members, has_batches=job.speech.has_batches)
    acknowledged = Acknowledged()
    for number, sender in enumerate(senders):
        _start(job, sender, Publisher(number), acknowledged)
    await asyncio.sleep(WARM_UP_S)
    announce_window(job.duration_s)
    tally.take_latencies_ns()
    before, got_before = Usage.now(job.pids), acknowledged.got
    await asyncio.sleep(job.duration_s)
    figures = Usage.now(job.pids).figures(before, acknowledged.got - got_before)
    latencies = tally.take_latencies_ns()
    acknowledged.goes_on = False
    # What is in flight is stored too; only then is it known how much there is to deliver.
    await asyncio.sleep(SETTLE_S)
    await silence(tally, acknowledged.got * job.members)
    faults = tally.faults(acknowledged.got * job.members)
    await disconnect([*members, *senders])
    return (
        figures
        | faults
        | {
            "p50_ms": percentile_ms(latencies, 0.5),
            "p99_ms": percentile_ms(latencies, 0.99),
            "refused": acknowledged.refused,
        }
    )


async def _member(job: Job, number: int) -> Socket:
    if not isinstance(job.speech, Rockstar):
        return await connect(job.port(number), "/ws/stored/bench/", headers={}, answers={})
    socket = await job.speech.connect(job.port(number), "/ws/chat/", job.token(number))
    await socket.receive_with(b'"welcome"')
    await job.speech.join(socket, f"room:{job.room_id}")
    return socket


async def _sender(job: Job, number: int) -> Socket:
    if not isinstance(job.speech, Rockstar):
        return await connect(job.port(number), "/ws/store/bench/", headers={}, answers={})
    socket = await job.speech.connect(job.port(number), "/ws/chat/", job.token(number))
    await socket.receive_with(b'"welcome"')
    return socket


def _start(job: Job, sender: Socket, publisher: Publisher, acknowledged: Acknowledged) -> None:
    """Send; at each acknowledgement send the next."""

    def send() -> None:
        sender.send(_message(job, publisher.text().decode()))

    def on_reply(frame: WSFrame) -> None:
        if b'"message.sent"' in frame.get_payload_as_bytes():
            acknowledged.got += 1
        else:
            acknowledged.refused += 1
        if acknowledged.goes_on:
            send()

    sender.sink = on_reply
    send()


def _message(job: Job, text: str) -> bytes:
    if not isinstance(job.speech, Rockstar):
        return json.dumps({"message": text}).encode()
    payload: dict[str, Any] = {"room_id": job.room_id, "text": text, "client_msg_id": str(uuid.uuid4())}
    return json.dumps({"id": "m", "type": "message.send", "payload": payload}).encode()
