"""Some servers of the real site on one broker, clients on them, and faults one after the other."""

import asyncio
import itertools
import random
import re
from collections.abc import Sequence
from pathlib import Path
from time import monotonic

from tests.faults.brokers import Broker, Plan
from tests.faults.clients import Follower, Line, Publisher
from tests.faults.record import Fault, Over, Read, Rest, Topic
from tests.faults.recorder import Recorder
from tests.servers.databases import QUICK, Databases, base_environment
from tests.servers.process import ServerProcess

SERVERS = 3
# Of each server; as many again roam: they lose their network now and then, and come back to any server.
FOLLOWERS = 1
ROAM_S = 0.7
# Publications a second of all publishers together.
RATE_PER_S = 90.0
# Time with publications before a fault, and after it.
BEFORE_S, AFTER_S = 0.4, 0.5
# At the end of a fault everything must be well again within this time.
HEAL_S = 30.0
NEWEST = 1000
LOOK_AGAIN_S = 0.1
# So far is the clock of the last of all SERVERS ahead, from the beginning to the end.
CLOCK_S = 120


class World:
    """The servers, the clients and the record of one run; `chance` decides whatever is random.

    `env` is for all servers of the site, beside the usual settings of the suite.
    """

    def __init__(
        self,
        broker: Broker,
        folder: Path,
        databases: Databases,
        chance: random.Random,
        *,
        topics: int,
        servers: int = SERVERS,
        env: dict[str, str] | None = None,
    ) -> None:
        self.recorder = Recorder()
        self.broker = broker
        self._chance = chance
        self._topics: list[Topic] = [f"topic {number}" for number in range(topics)]
        settings = base_environment() | QUICK | {"DATABASE_URL": databases.sqlite()}
        settings |= {
            "REALTIME_MESSAGES_PER_S": "0",
            "REALTIME_DRAIN_S": "0",
            "REALTIME_MAX_CONNECTIONS_PER_IP": "0",
            **(env or {}),
        }
        self.servers = [
            ServerProcess("serve", settings | {"REDIS_URL": url}, folder / f"server {number}.log")
            for number, url in enumerate(broker.urls(servers))
        ]
        if servers == SERVERS:
            self.servers[-1].env |= {
                "DJANGO_SETTINGS_MODULE": "tests.faults.planted",
                "FAULTS_CLOCK_S": str(CLOCK_S),
            }
        self._followers: list[Follower] = []
        self._roaming: list[Follower] = []
        self._publishers: list[Publisher] = []
        self._tasks: list[asyncio.Task[None]] = []
        # Killed, and not ready again.
        self._is_down: set[ServerProcess] = set()

    async def start(self) -> None:
        """Start everything and bring it to its first rest: each topic has one publication."""
        await self.broker.start()
        for server in self.servers:
            server.launch()
        await asyncio.gather(*(asyncio.to_thread(server.wait_until_ready) for server in self.servers))
        self._make_clients()
        await self.rest()

    async def stop(self) -> None:
        """End everything. The servers must end with 0, and their logs must be clean."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for publisher in self._publishers:
            await publisher.close()
        try:
            for server in self.servers:
                server.tell_to_end()
            codes = await asyncio.gather(*(asyncio.to_thread(server.terminate) for server in self.servers))
        finally:
            for server in self.servers:
                server.kill()
            await self.broker.stop()
        assert not any(codes), f"servers ended with {codes} after SIGTERM"
        for server in self.servers:
            assert not (found := _tracebacks(server.log())), "\n".join(found)

    def plans(self) -> Sequence[Plan]:
        """The faults of the broker, and those of the servers."""
        return (*self.broker.plans(), Plan("a server killed", self._kill_server, closes=True))

    async def suffer(self, plan: Plan) -> None:
        """Make a fault while clients publish and follow, and bring everything to rest after it."""
        for publisher in self._publishers:
            publisher.resume()
        await asyncio.sleep(BEFORE_S)
        victims = await self.broker.aim(self._topics)
        now_s = self.recorder.now_s()
        self.recorder.add(Fault(now_s, plan.name, plan.may_lose, plan.may_forget, plan.closes, victims))
        await plan.act()
        self.recorder.add(Over(self.recorder.now_s()))
        await asyncio.gather(asyncio.sleep(AFTER_S), self.broker.heal())
        await self.rest()

    async def rest(self) -> None:
        """Publish once more to each topic. Afterwards every client is at the end of the log, or the judge names it."""
        await asyncio.gather(*(publisher.pause() for publisher in self._publishers))
        for task in self._tasks:
            if task.done():
                # A client that got something that it cannot have got.
                task.result()
        await asyncio.gather(*(self._publishers[0].insist(topic) for topic in self._topics))
        readers = [Line(lambda port=server.port: [port], self._chance) for server in self.servers]  # type: ignore[misc] # bound in the loop
        end_s = monotonic() + HEAL_S
        while True:
            reads = await self._reads(readers)
            if monotonic() > end_s or self._have_all(reads):
                break
            await asyncio.sleep(LOOK_AGAIN_S)
        names = [follower.name for follower in self._followers]
        self.recorder.add(Rest(self.recorder.now_s(), reads, names))
        for reader in readers:
            await reader.close()

    def _make_clients(self) -> None:
        values = itertools.count(1)
        for number in range(len(self.servers)):
            self._publishers.append(
                Publisher(
                    self._topics,
                    values,
                    lambda number=number: self._ports(number),  # type: ignore[misc] # bound in the loop
                    self.recorder,
                    self._random(),
                    per_s=RATE_PER_S / len(self.servers),
                )
            )
            for index in range(FOLLOWERS):
                at_home = Follower(
                    f"follower {number}.{index}",
                    self._topics,
                    lambda number=number: self._ports(number),  # type: ignore[misc] # bound in the loop
                    self.recorder,
                    self._random(),
                )
                roams = Follower(
                    f"roaming {number}.{index}", self._topics, self._ports, self.recorder, self._random()
                )
                self._followers += [at_home, roams]
                self._roaming.append(roams)
        runs = [follower.run() for follower in self._followers]
        runs += [publisher.run() for publisher in self._publishers]
        self._tasks = [asyncio.create_task(run) for run in [*runs, self._roam()]]

    def _random(self) -> random.Random:
        return random.Random(self._chance.random())

    def _ports(self, number: int | None = None) -> Sequence[int]:
        """Ports of servers that are ready: of one of them if it is, otherwise of all."""
        running = [server for server in self.servers if server not in self._is_down]
        if number is not None and self.servers[number] in running:
            return [self.servers[number].port]
        return [server.port for server in running]

    async def _roam(self) -> None:
        while True:
            await asyncio.sleep(self._chance.random() * 2 * ROAM_S)
            await self._chance.choice(self._roaming).leave()

    async def _kill_server(self) -> None:
        server = self._chance.choice(self.servers)
        self._is_down.add(server)
        await asyncio.to_thread(server.kill)
        await asyncio.to_thread(server.start)
        self._is_down.discard(server)

    async def _reads(self, readers: Sequence[Line]) -> dict[Topic, list[Read]]:
        reads: dict[Topic, list[Read]] = {}
        for topic in self._topics:
            named = zip(self.servers, readers, strict=True)
            reads[topic] = await asyncio.gather(*(_read(server.port, line, topic) for server, line in named))
        return reads

    def _have_all(self, reads: dict[Topic, list[Read]]) -> bool:
        return all(
            topic in follower.subscribed and follower.positions[topic][1] == reads[topic][0].offset
            for follower in self._followers
            for topic in self._topics
        )


def _tracebacks(log: str) -> list[str]:
    """The records with a traceback, but for those of channels_redis, which logs every lost connection with one."""
    records = re.split(r"^(?=\d{4}-\d\d-\d\d |\{)", log, flags=re.MULTILINE)
    return [each for each in records if "Traceback (most" in each and " channels_redis." not in each]


async def _read(port: int, line: Line, topic: Topic) -> Read:
    while True:
        answer = await line.ask("history", {"topic": topic, "limit": NEWEST})
        payload = answer["payload"]
        if answer["type"] == "history":
            publications = tuple((each["offset"], each["data"]) for each in payload["publications"])
            return Read(f"the server at {port}", payload["epoch"], payload["offset"], publications)
        assert payload["retryable"], answer
        await asyncio.sleep(LOOK_AGAIN_S)
