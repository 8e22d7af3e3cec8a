"""The script on a real Valkey and the model of it: the same operations get the same answers, epochs and all.

One server plays primary and replica, as in `test_forks`. Time passes, or differs between two servers, by moving all that
is stored: no test waits.
"""

import asyncio
import itertools
import os
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any, TypeVar

import msgspec
import pytest
from hypothesis import Phase, settings, strategies
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)
from redis import Redis

from realtime.core.history import Publisher
from realtime.core.position import Position
from realtime.core.topics import Retention, TopicKey
from realtime.protocol.errors import RequestError
from realtime.topics.engine import redis_history
from realtime.topics.engine.broker import Broker
from realtime.topics.engine.drafts import make_draft
from realtime.topics.engine.ports import Ask, History
from realtime.topics.engine.redis_history import RedisHistory
from tests.engine.model import ModelHistory, State
from tests.servers.broker import Process

pytestmark = pytest.mark.redis

T = TypeVar("T")

# With SCRIPT_EXAMPLES=2000 a minute or two, and longer if one fails: then a shorter one is looked for.
ASKED = os.environ.get("SCRIPT_EXAMPLES")
EXAMPLES = int(ASKED or "25")
PHASES = tuple(Phase) if ASKED else (Phase.explicit, Phase.reuse, Phase.generate)
STEPS = 30
# Some of the sizes below fill a topic, and one of them does so alone.
TOPIC_BYTES = 4000
IDEMPOTENCY_TTL_S = 60.0
DAY_S = 86_400
# No sum of them is within a second of a time in this file: what an example really takes makes no difference.
PASSING_S = (7, 120, 2 * DAY_S, 8 * DAY_S)
CLOCKS_APART_S = (0, 0, 120, -120)
# Moves all that is stored by ARGV[1] ms into the past. The store hash has the uptime of its server, in seconds, at
# which it began: ARGV[2] seconds are added to it.
MOVE = """
for _, key in ipairs(redis.call('KEYS', '*')) do
  local left_ms, kind = redis.call('PTTL', key), redis.call('TYPE', key).ok
  if kind == 'stream' then
    local entries = redis.call('XRANGE', key, '-', '+')
    redis.call('DEL', key)
    for _, entry in ipairs(entries) do
      redis.call('XADD', key, entry[1], 'ms', entry[2][2] - ARGV[1], 'body', entry[2][4])
    end
  elseif kind == 'hash' and redis.call('HEXISTS', key, 'uptime_s') == 1 then
    redis.call('HINCRBY', key, 'uptime_s', ARGV[2])
  end
  if left_ms > 0 then
    redis.call('PEXPIRE', key, left_ms - ARGV[1])
  end
end
"""

KEYS = [TopicKey(tenant, name) for tenant in ("acme", "globex") for name in "ab"]

keys = strategies.sampled_from(KEYS)
retentions = strategies.sampled_from(
    [Retention(3, 300), Retention(1000, 10), Retention(1000, 300), Retention(0, 0)]
)
sizes_bytes = strategies.sampled_from([1, 1, 1, 700, 5000])
idempotency_keys = strategies.sampled_from([None, None, None, "one", "two"])
publishers = strategies.sampled_from([None, Publisher(1, "alice"), Publisher("1", "mallory")])
limits = strategies.sampled_from([0, 1, 2, 20, 1000])
max_bytes = strategies.sampled_from([0, 10, 1000])


class Machine(RuleBasedStateMachine):
    """Asks both, and compares. `fresh` has one item: the name that both take for a new epoch."""

    positions: Bundle[tuple[TopicKey, Position]] = Bundle("positions")

    def __init__(self, redis: Redis, history: RedisHistory, fresh: list[str], runner: asyncio.Runner) -> None:
        super().__init__()
        self._redis = redis
        self._history = history
        self._fresh = fresh
        self._runner = runner
        self._numbers = itertools.count(1)
        self._now_s = 0.0
        # The data of a replica, and the time at which its link was cut.
        self._replica: tuple[State, float] | None = None
        self._model = ModelHistory(
            clock=lambda: self._now_s,
            fresh_epoch=lambda: fresh[0],
            line="0",
            topic_bytes=TOPIC_BYTES,
            idempotency_ttl_s=IDEMPOTENCY_TTL_S,
        )

    @initialize()
    def begin(self) -> None:
        """A server without data."""
        self._call("FLUSHALL")

    @rule(
        target=positions,
        key=keys,
        size_bytes=sizes_bytes,
        retention=retentions,
        publisher=publishers,
        idempotency_key=idempotency_keys,
        is_repeat=strategies.booleans(),
    )
    def publish(
        self,
        key: TopicKey,
        size_bytes: int,
        retention: Retention,
        publisher: Publisher | None,
        idempotency_key: str | None,
        is_repeat: bool,
    ) -> Any:
        """With an idempotency key: the data that it was used for first, or other data."""
        is_same = is_repeat and idempotency_key is not None
        data = [idempotency_key if is_same else next(self._numbers), "x" * size_bytes]
        draft = make_draft(key.topic, data, publisher=publisher, time="now", idempotency_key=idempotency_key)
        added = self._ask(lambda history: history.add(key, draft, retention))
        return multiple() if isinstance(added, RequestError) else (key, added.position)

    @rule(target=positions, key=keys)
    def look(self, key: TopicKey) -> Any:
        """Where a topic is."""
        return key, self._ask(lambda history: history.position(key))

    @rule()
    def look_at_all(self) -> None:
        """Where all topics are; without any, only the store is begun."""
        self._ask(lambda history: history.positions(KEYS))

    @rule(
        asked=strategies.lists(positions, min_size=1, max_size=4),
        behind=strategies.integers(-1, 4),
        limit=limits,
        max_bytes=max_bytes,
    )
    def read(self, asked: list[tuple[TopicKey, Position]], behind: int, limit: int, max_bytes: int) -> None:
        """The publications after positions that were given out, or after `behind` before them."""
        asks = [
            Ask(key, Position(position.epoch, position.offset - behind), limit, max_bytes)
            for key, position in asked
        ]
        self._ask(lambda history: history.pages(asks))

    @rule(asked=positions, other=keys)
    def read_another_topic(self, asked: tuple[TopicKey, Position], other: TopicKey) -> None:
        """With a position that was given out for another topic, perhaps of another tenant."""
        self._ask(lambda history: history.since(other, asked[1], 1000, 0))

    @rule(key=keys, limit=limits, max_bytes=max_bytes)
    def read_newest(self, key: TopicKey, limit: int, max_bytes: int) -> None:
        """The newest publications."""
        self._ask(lambda history: history.latest(key, limit, max_bytes))

    @rule(key=keys, size_bytes=sizes_bytes, every=strategies.integers(1, 3))
    def rewrite(self, key: TopicKey, size_bytes: int, every: int) -> None:
        """Some publications get other data."""

        def change(data: bytes) -> bytes | None:
            number = msgspec.json.decode(data)[0]
            is_chosen = isinstance(number, int) and number % every == 0
            return msgspec.json.encode([number, "y" * size_bytes]) if is_chosen else None

        self._ask(lambda history: history.rewrite(key, change))

    @rule(seconds=strategies.sampled_from(PASSING_S))
    def pass_time(self, seconds: int) -> None:
        """Time goes by."""
        self._now_s += seconds
        self._move(seconds, uptime_s=seconds)

    @rule()
    def restart(self) -> None:
        """The server starts anew with its data, or another has all of them and takes over."""
        self._change_line()

    @rule()
    def cut_replica(self) -> None:
        """From now on a replica gets nothing."""
        self._call("SAVE")
        self._replica = self._model.state.copy(), self._now_s

    @precondition(lambda self: self._replica is not None)
    @rule(apart_s=strategies.sampled_from(CLOCKS_APART_S))
    def promote_replica(self, apart_s: int) -> None:
        """It takes over without the tail that it did not get; its clock may be ahead or behind."""
        assert self._replica is not None
        self._model.state, cut_s = self._replica
        self._replica = None
        self._call("DEBUG", "RELOAD", "NOSAVE")
        self._move(self._now_s - cut_s, uptime_s=self._now_s - cut_s)
        self._now_s += apart_s
        self._move(apart_s, uptime_s=0)
        self._change_line()

    @rule()
    def lose_everything(self) -> None:
        """FLUSHALL."""
        self._call("FLUSHALL")
        self._model.state = State()

    def teardown(self) -> None:
        """All that is left, once more."""
        for key in KEYS:
            self._ask(lambda history, key=key: history.latest(key, 1000, 0))  # type: ignore[misc] # bound in the loop

    def _call(self, *command: str | int) -> None:
        self._redis.execute_command(*command)  # type: ignore[no-untyped-call] # redis-py has no types for it

    def _change_line(self) -> None:
        self._call("DEBUG", "CHANGE-REPL-ID")
        self._model.line = str(next(self._numbers))

    def _move(self, seconds: float, *, uptime_s: float) -> None:
        self._call("EVAL", MOVE, 0, round(seconds * 1000), -round(uptime_s))

    def _ask(self, question: Callable[[History], Coroutine[Any, Any, T]]) -> T | RequestError:
        """The answer that both give, or the error that both raise."""
        self._fresh[0] = f"{next(self._numbers):016x}"
        real, expected = (self._answer(question(each)) for each in (self._history, self._model))
        if isinstance(expected, RequestError):
            assert isinstance(real, RequestError)
            assert real.code == expected.code
        else:
            assert real == expected
        return real

    def _answer(self, asking: Coroutine[Any, Any, T]) -> T | RequestError:
        try:
            return self._runner.run(asking)
        except RequestError as error:
            return error


def compare(server: Process) -> None:
    """Raise AssertionError for an answer that differs."""
    fresh = [""]
    with asyncio.Runner() as runner, Redis(port=server.port) as redis:
        history = runner.run(history_of(server, fresh))
        try:
            run_state_machine_as_test(
                lambda: Machine(redis, history, fresh, runner),  # type: ignore[arg-type] # a function does as well
                settings=settings(max_examples=EXAMPLES, stateful_step_count=STEPS, phases=PHASES),
            )
        finally:
            runner.run(history.close())


async def history_of(server: Process, fresh: list[str]) -> RedisHistory:
    """The real one, on the loop that runs."""
    return RedisHistory(
        Broker(f"redis://127.0.0.1:{server.port}"),
        topic_bytes=TOPIC_BYTES,
        idempotency_ttl_s=IDEMPOTENCY_TTL_S,
        fresh_epoch=lambda: fresh[0],
    )


def test_the_script_answers_as_the_model(server: Process) -> None:
    compare(server)


def test_a_script_that_knows_a_server_by_its_process_does_not(
    server: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    line, process = "field('replication', 'master_replid')", "field('server', 'run_id')"
    for name in ("_ADD", "_POSITIONS", "_PAGES", "_LATEST", "_REWRITE"):
        script = getattr(redis_history, name)
        monkeypatch.setattr(redis_history, name, replace(script, text=script.text.replace(line, process)))
    with pytest.raises(AssertionError):
        compare(server)
