"""`python -m tests.kills --kills 1000 --database-url … --redis-url …`: prints the result as JSON.

A warm parent, with all modules loaded and no connection open, forks one child after the other. Each stores numbers
in a table of its own and publishes them in the same transactions; some only store, as tasks do, and some send as
well, as serving processes do. Each is killed at a random moment. In the end one more sender sends the rest,
and the histories must hold exactly the numbers in the table.
"""

import argparse
import asyncio
import json
import os
import random
import signal
import sys
import time
import traceback
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

TOPICS = 3
# Longest life of a child after its first commit, in seconds.
LIFE_MAX_S = 0.12
PREFIX = "kills"
TENANT = "kills"
_TABLE = "CREATE TABLE kills (topic INTEGER NOT NULL PRIMARY KEY, top INTEGER NOT NULL)"


def main(arguments: Sequence[str]) -> int:
    """Run it; 0 if nothing was lost, doubled or out of order."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--database-url", required=True)
    parser.add_argument("--redis-url", required=True)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    _set_up(options.database_url, options.redis_url)
    chance = random.Random(options.seed)
    began_s = time.monotonic()
    left = sum(_kill_one(number, chance) for number in range(options.kills))
    found: dict[str, float] = {**asyncio.run(_drain_and_judge())}
    found |= {
        "kills": options.kills,
        "left_by_the_killed": left,
        "seconds": round(time.monotonic() - began_s, 1),
    }
    sys.stdout.write(json.dumps(found) + "\n")
    return 1 if found["lost"] or found["doubled"] or found["out_of_order"] else 0


def _set_up(database_url: str, redis_url: str) -> None:
    os.environ |= {"DATABASE_URL": database_url, "REDIS_URL": redis_url}
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    import django  # noqa: PLC0415 the environment comes first

    django.setup()
    from django.conf import settings  # noqa: PLC0415

    # A pool would be shared with the children.
    settings.DATABASES["default"]["OPTIONS"].pop("pool", None)
    from django.db import connection, connections  # noqa: PLC0415

    from accounts.models import Tenant  # noqa: PLC0415

    Tenant.objects.get_or_create(slug=TENANT, defaults={"name": "Kills"})
    with connection.cursor() as cursor:
        cursor.execute(_TABLE)
        for topic in range(TOPICS):
            cursor.execute("INSERT INTO kills (topic, top) VALUES (%s, 0)", [topic])
    connections.close_all()


def _kill_one(number: int, chance: random.Random) -> int:
    """Fork a child and kill it. Returns the rows that it left in the outbox."""
    reading, writing = os.pipe()
    life_s, sends, seed = chance.random() * LIFE_MAX_S, chance.random() < 0.7, chance.random()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        try:
            _live(writing, random.Random(seed), sends=sends)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(1)
    os.close(writing)
    # It has committed once.
    began = os.read(reading, 1)
    time.sleep(life_s)
    os.kill(pid, signal.SIGKILL)
    status = os.waitpid(pid, 0)[1]
    os.close(reading)
    assert began, f"child {number} never committed"
    assert os.WIFSIGNALED(status), f"child {number} ended by itself"
    return _waiting()


def _waiting() -> int:
    from django.db import connections  # noqa: PLC0415

    from realtime.models import StoredPublication  # noqa: PLC0415

    count = StoredPublication.objects.count()
    connections.close_all()
    return count


def _live(ready: int, chance: random.Random, *, sends: bool) -> None:
    def work() -> None:
        while True:
            _store(chance.randrange(TOPICS))
            os.write(ready, b"x")
            time.sleep(chance.random() * 0.01)

    async def serve() -> None:
        outbox = _sender(f"child-{os.getpid()}")
        running = asyncio.create_task(outbox.run())
        loop = asyncio.get_running_loop()

        def work_and_wake() -> None:
            while True:
                _store(chance.randrange(TOPICS))
                loop.call_soon_threadsafe(outbox.wake)
                os.write(ready, b"x")
                time.sleep(chance.random() * 0.01)

        await asyncio.to_thread(work_and_wake)
        await running

    asyncio.run(serve()) if sends else work()


def _store(topic: int) -> None:
    """One more number of a topic, and its publication, in one transaction."""
    from django.db import connection, transaction  # noqa: PLC0415

    from realtime import publish  # noqa: PLC0415

    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("UPDATE kills SET top = top + 1 WHERE topic = %s", [topic])
        cursor.execute("SELECT top FROM kills WHERE topic = %s", [topic])
        publish(f"kills-{topic}", cursor.fetchone()[0], tenant=TENANT)


def _engine() -> Any:
    from realtime.topics.engine.broker import Broker  # noqa: PLC0415
    from realtime.topics.engine.redis_history import RedisHistory  # noqa: PLC0415

    return RedisHistory(Broker(os.environ["REDIS_URL"], prefix=PREFIX), topic_bytes=0)


def _sender(holder: str) -> Any:
    from realtime.core.history import Draft  # noqa: PLC0415
    from realtime.core.position import Position  # noqa: PLC0415
    from realtime.core.topics import Retention, TopicKey  # noqa: PLC0415
    from realtime.node import transactional_outbox  # noqa: PLC0415
    from realtime.node.database import Database  # noqa: PLC0415
    from realtime.node.publish_failures import PublishFailure  # noqa: PLC0415

    # Children live for less than a node waits: each soon follows the one that was killed before it.
    transactional_outbox.STALE_S = 0.005
    history = _engine()

    async def publish(tenant: str, topic: str, draft: Draft) -> Position:
        position: Position = (
            await history.add(TopicKey(tenant, topic), draft, Retention(10**6, 3600))
        ).position
        return position

    def report(failure: PublishFailure) -> None:
        raise failure.error

    return transactional_outbox.TransactionalOutbox(holder, Database(1, 5.0), publish, report, max_age_s=0)


async def _drain_and_judge() -> dict[str, int]:
    """Send the remaining rows as the sweeper does, and compare the histories with the table."""
    from realtime.core.topics import TopicKey  # noqa: PLC0415

    outbox, history = _sender("sweeper"), _engine()
    while await asyncio.to_thread(_waiting):
        await outbox.send_all()
        await asyncio.sleep(0.05)
    found = {"committed": 0, "published": 0, "lost": 0, "doubled": 0, "out_of_order": 0}
    for topic in range(TOPICS):
        top = await asyncio.to_thread(_top, topic)
        page = await history.latest(TopicKey(TENANT, f"kills-{topic}"), 10**6, 0)
        numbers = [int(bytes(each.data)) for each in page.publications]
        found["committed"] += top
        found["published"] += len(numbers)
        found["lost"] += len(set(range(1, top + 1)) - set(numbers))
        found["doubled"] += len(numbers) - len(set(numbers))
        found["out_of_order"] += sum(b <= a for a, b in pairwise(numbers))
    await history.close()
    return found


def _top(topic: int) -> int:
    from django.db import connection, connections  # noqa: PLC0415

    with connection.cursor() as cursor:
        cursor.execute("SELECT top FROM kills WHERE topic = %s", [topic])
        top: int = cursor.fetchone()[0]
    connections.close_all()
    return top


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
