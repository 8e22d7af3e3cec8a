"""Echo and RPC: every socket keeps a number of messages in flight."""

import asyncio
import time

from picows import WSFrame

from bench.load.job import Job, announce_window, at_once
from bench.load.meter import Usage, percentile_ms
from bench.load.sockets import Socket, disconnect
from bench.load.texts import Checker, Publisher

WARM_UP_S = 0.5
# One socket in so many has its latencies taken.
READ_ONE_IN = 8
PROBE_EVERY_S = 0.01
PROBE_SILENCE_S = 2.0


class Echoes:
    """Answers each message that came back with the next."""

    def __init__(self, job: Job) -> None:
        self.got = 0
        self._job = job
        self._goes_on = True
        self._checkers: list[Checker] = []

    def start(self, number: int, socket: Socket) -> None:
        """Put the job's depth in flight on a socket."""
        publisher, send, echo = Publisher(number), socket.send, self._job.speech.echo
        checker = Checker()

        def plain(frame: WSFrame) -> None:
            self.got += 1
            if self._goes_on:
                send(echo(publisher.text()))

        def reading(frame: WSFrame) -> None:
            if checker.check(frame.get_payload_as_bytes()) != 1:
                raise ValueError(f"Not an echo: {frame.get_payload_as_bytes()!r}")
            plain(frame)

        if number % READ_ONE_IN == 0:
            self._checkers.append(checker)
            socket.sink = reading
        else:
            socket.sink = plain
        for _ in range(self._job.depth):
            send(echo(publisher.text()))

    def stop(self) -> None:
        """Send no more."""
        self._goes_on = False

    def take_latencies_ns(self) -> list[int]:
        """Round trips on the sockets that are read; starts anew."""
        latencies: list[int] = []
        for checker in self._checkers:
            latencies += checker.latencies_ns
            checker.latencies_ns = []
        return latencies


async def echo(job: Job) -> dict[str, float]:
    """Round trips per second and what each costs."""
    sockets = await at_once(
        job.sockets, lambda number: job.speech.open_echo(job.port(number), job.token(number))
    )
    echoes = Echoes(job)
    for number, socket in enumerate(sockets):
        echoes.start(number, socket)
    await asyncio.sleep(WARM_UP_S)
    echoes.take_latencies_ns()
    announce_window(job.duration_s)
    before, got_before = Usage.now(job.pids), echoes.got
    await asyncio.sleep(job.duration_s)
    figures = Usage.now(job.pids).figures(before, echoes.got - got_before)
    latencies = echoes.take_latencies_ns()
    echoes.stop()
    closed = sum(socket.is_closed for socket in sockets)
    await disconnect(sockets)
    if closed:
        raise ConnectionError(f"The server closed {closed} of {job.sockets} sockets meanwhile.")
    return figures | {"p50_ms": percentile_ms(latencies, 0.5), "p99_ms": percentile_ms(latencies, 0.99)}


async def probe(job: Job) -> dict[str, float]:
    """Round trips of one socket at a fixed interval, while another process makes the server busy."""
    socket = await job.speech.open_echo(job.port(0), job.token(0))
    publisher, checker = Publisher(0), Checker()

    def on_echo(frame: WSFrame) -> None:
        checker.check(frame.get_payload_as_bytes())

    socket.sink = on_echo
    start_ns = time.perf_counter_ns()
    sent = int(job.duration_s / PROBE_EVERY_S)
    for number in range(sent):
        due_ns = start_ns + int(number * PROBE_EVERY_S * 1e9)
        await asyncio.sleep(max(due_ns - time.perf_counter_ns(), 0) / 1e9)
        socket.send(job.speech.echo(publisher.text(due_ns)))
    await asyncio.sleep(PROBE_SILENCE_S)
    await disconnect([socket])
    return {
        "echo_p50_ms": percentile_ms(checker.latencies_ns, 0.5),
        "echo_p99_ms": percentile_ms(checker.latencies_ns, 0.99),
        "echo_lost": sent - len(checker.latencies_ns),
    }
