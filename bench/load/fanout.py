"""Fan-out in a closed loop: as soon as all members have a round of messages, the round after next goes out."""

import asyncio
import time
from collections.abc import Sequence

from bench.load.job import Job, announce_window, crowd, publishers
from bench.load.meter import Usage
from bench.load.sockets import Socket, disconnect
from bench.load.tally import Tally
from bench.load.texts import Publisher

ROUNDS_IN_FLIGHT = 2
WARM_UP_S = 0.5
# Deliveries that stop for so long have come to an end.
SILENCE_S = 5.0


class Rounds:
    """Publishes one message from each publisher a round."""

    def __init__(self, job: Job, senders: Sequence[Socket], tally: Tally) -> None:
        self._job = job
        self._senders = [(sender, Publisher(number)) for number, sender in enumerate(senders)]
        self._tally = tally
        self._goes_on = True
        self.published = 0
        tally.on_target = self._next

    def start(self) -> None:
        """Fill the pipe."""
        self._tally.target = self._a_round
        for _ in range(ROUNDS_IN_FLIGHT):
            self._publish()

    def stop(self) -> None:
        """Publish no more."""
        self._goes_on = False

    @property
    def _a_round(self) -> int:
        return self._job.members * len(self._senders)

    def _next(self) -> None:
        self._tally.target += self._a_round
        if self._goes_on:
            self._publish()

    def _publish(self) -> None:
        speech, room = self._job.speech, self._job.room
        for sender, publisher in self._senders:
            sender.send(speech.publication(room, publisher.text()))
        self.published += len(self._senders)


async def fanout(job: Job) -> dict[str, float]:
    """Deliveries per second and what each costs; how many were lost or out of order."""
    members = await crowd(job)
    senders = await publishers(job, members)
    tally = Tally(members, has_batches=job.speech.has_batches)
    rounds = Rounds(job, senders, tally)
    rounds.start()
    await asyncio.sleep(WARM_UP_S)
    announce_window(job.duration_s)
    before, got_before = Usage.now(job.pids), tally.got
    await asyncio.sleep(job.duration_s)
    figures = Usage.now(job.pids).figures(before, tally.got - got_before)
    rounds.stop()
    expected = rounds.published * job.members
    await silence(tally, expected)
    faults = tally.faults(expected)
    await disconnect([*members, *senders])
    return figures | faults


async def silence(tally: Tally, expected: int) -> None:
    """Wait for all deliveries, or until none has come for a while."""
    seen, since_s = tally.got, time.monotonic()
    while tally.got < expected and time.monotonic() - since_s < SILENCE_S:
        await asyncio.sleep(0.1)
        if tally.got != seen:
            seen, since_s = tally.got, time.monotonic()
