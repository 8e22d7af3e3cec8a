"""Fan-out at a given rate (open loop): what is late does not slow the publishers, and counts from when it was due."""

import asyncio
import time
from collections.abc import Sequence

from bench.load.fanout import silence
from bench.load.job import Job, announce_window, crowd, publishers
from bench.load.meter import Usage, memory_bytes, percentile_ms
from bench.load.sockets import Socket, disconnect
from bench.load.tally import Tally
from bench.load.texts import Publisher

WARM_UP_S = 0.5
MEMORY_EVERY_S = 0.25
# Time in which a reader in arrears takes what was sent to it, and the close behind that.
WAKE_TIMEOUT_S = 10.0


class Offer:
    """Publishes at the job's rate, each message by the next publisher."""

    def __init__(self, job: Job, senders: Sequence[Socket]) -> None:
        self._job = job
        self._senders = [(sender, Publisher(number, job.text_bytes)) for number, sender in enumerate(senders)]
        self.published = 0

    async def run(self, duration_s: float) -> None:
        """Publish for so long."""
        start_ns = time.perf_counter_ns()
        for number in range(int(duration_s * self._job.rate)):
            due_ns = start_ns + int(number / self._job.rate * 1e9)
            wait_s = (due_ns - time.perf_counter_ns()) / 1e9
            if wait_s > 0:
                await asyncio.sleep(wait_s)
            sender, publisher = self._senders[number % len(self._senders)]
            sender.send(self._job.speech.publication(self._job.room, publisher.text(due_ns)))
            self.published += 1


async def steady(job: Job) -> dict[str, float]:
    """Latency at a rate; how many were lost or out of order."""
    members = await crowd(job)
    senders = await publishers(job, members)
    tally = Tally(members, has_batches=job.speech.has_batches)
    offer = Offer(job, senders)
    await offer.run(WARM_UP_S)
    tally.take_latencies_ns()
    announce_window(job.duration_s)
    before, got_before = Usage.now(job.pids), tally.got
    await offer.run(job.duration_s)
    figures = Usage.now(job.pids).figures(before, tally.got - got_before)
    expected = offer.published * job.members
    await silence(tally, expected)
    latencies, faults = tally.take_latencies_ns(), tally.faults(expected)
    await disconnect([*members, *senders])
    return (
        figures | faults | {"p50_ms": percentile_ms(latencies, 0.5), "p99_ms": percentile_ms(latencies, 0.99)}
    )


async def stalled(job: Job) -> dict[str, float]:
    """The same rate twice, the second time with one more member, who stops reading: memory and the others' p99."""
    members = await crowd(job)
    senders = await publishers(job, members)
    sleeper = await job.speech.open(job.port(0), job.token(0))
    await job.speech.join(sleeper, job.room)
    sleeper.sink = lambda frame: None
    tally = Tally(members, has_batches=job.speech.has_batches)
    offer = Offer(job, senders)
    await offer.run(WARM_UP_S)
    tally.take_latencies_ns()
    announce_window(2 * job.duration_s)
    _, highest_before = await _watched(job, offer)
    p99_before_ms = percentile_ms(tally.take_latencies_ns(), 0.99)
    sleeper.stop_reading()
    _, highest = await _watched(job, offer)
    expected = offer.published * job.members
    await silence(tally, expected)
    p99_ms = percentile_ms(tally.take_latencies_ns(), 0.99)
    faults, code = tally.faults(expected), await _wake(sleeper)
    await disconnect([*members, *senders, sleeper])
    return faults | {
        "p99_ms": p99_ms,
        "p99_ratio": p99_ms / p99_before_ms if p99_before_ms else 0.0,
        "grown_mib": (highest - highest_before) / 2**20,
        "stalled_close_code": code,
    }


async def _watched(job: Job, offer: Offer) -> tuple[int, int]:
    """Publish for the job's time; the server's memory at first and at its highest."""
    first = highest = memory_bytes(job.pids)
    publishing = asyncio.ensure_future(offer.run(job.duration_s))
    while not publishing.done():
        await asyncio.sleep(MEMORY_EVERY_S)
        highest = max(highest, memory_bytes(job.pids))
    await publishing
    return first, highest


async def _wake(sleeper: Socket) -> int:
    """Read again; the code it was closed with, 1006 when without one, 0 when it is open."""
    if not sleeper.is_closed:
        sleeper.read_on()
    await sleeper.wait_closed(WAKE_TIMEOUT_S)
    if sleeper.close_code is not None:
        return sleeper.close_code
    return 1006 if sleeper.is_closed else 0
