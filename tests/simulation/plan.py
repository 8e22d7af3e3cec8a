"""What is done in a world and when: made from the seed before it begins, so that parts of it can be left out."""

from dataclasses import dataclass
from random import Random
from typing import Any, NamedTuple

from tests.simulation import faults
from tests.simulation.faults import Faults

OPEN, GATED, SCOPED, FORGETFUL = "news", "room:1", "scoped:1", "typing:1"
TOPICS = (OPEN, GATED, SCOPED, FORGETFUL)
TENANTS = ("acme", "globex")
USERS = (1, 2, 3)
# Operations begin within so many seconds.
OPERATIONS_S = (2.0, 8.0)
# The least and the most clients of a world, and of one that is crowded: there deliveries take several turns.
CLIENTS = (3, 6)
CROWD = (6, 9)
CLOSE_CODES = (4401, 4403, 4409, 4503, 1012)

# How many of the worlds have a broker with replicas, and how often it fails over in each.
REPLICATED = 0.4
FAILOVERS = (1, 6)
FAILOVER_KINDS = ("fail_over", "fail_over", "hand_over")

# What may be done, and how often beside the rest.
WEIGHTS = {
    "subscribe": 10,
    "subscribe_many": 3,
    "unsubscribe": 4,
    "publish": 10,
    "publish_elsewhere": 8,
    "burst": 4,
    "leave": 3,
    "pause": 4,
    "cancel": 2,
    "cut": 1,
    "narrow": 2,
    "remove": 4,
    "close": 2,
    "revoke": 2,
    "history": 2,
    "who": 1,
    "rewind": 3,
    "lose_store": 1,
    "store_outage": 1,
    "bus_outage": 1,
    "deaf": 2,
    "mute": 1,
    "kill": 1,
    "drain": 1,
    "start": 2,
}


class Operation(NamedTuple):
    """One thing that is done. Which client, node, topic it concerns is drawn from `draw`, 0 to 1 each."""

    number: int
    at_s: float
    kind: str
    draw: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class ClientPlan:
    """A client: `user` None does not sign in. `is_wire`: its server takes ready frames. `is_beside`: its
    subscribes run beside its other requests. `answers_close` is whether it does so when the server closes."""

    tenant: str
    user: int | None
    is_wire: bool
    is_batching: bool
    is_beside: bool
    answers_close: bool
    wants_presence: bool


@dataclass(frozen=True, slots=True)
class Plan:
    """A whole world. `without` are the numbers of operations that are left out, `off` the faults switched off."""

    seed: int
    faults: Faults
    nodes: int
    # All are on one tenant and follow everything from the beginning.
    is_crowd: bool
    clients: tuple[ClientPlan, ...]
    operations: tuple[Operation, ...]
    history_size: int
    history_ttl_s: float
    outbox_bytes: int
    reads_max: int
    fanout_chunk: int
    page_max: int
    clock_cost_s: float
    slice_s: float
    catch_up_bytes: int
    tail_bytes: int
    cache_bytes: int
    # Its store is a broker with replicas.
    is_replicated: bool = False
    without: frozenset[int] = frozenset()
    off: frozenset[str] = frozenset()


def make_plan(seed: int, without: frozenset[int] = frozenset(), off: frozenset[str] = frozenset()) -> Plan:
    """The world of a seed. `off` also takes kinds of operations."""
    rng = Random(seed)
    chosen = faults.choose(rng, off)
    is_crowd = rng.random() < 0.4
    clients = tuple(
        _client(rng, is_crowd=is_crowd) for _ in range(rng.randint(*(CROWD if is_crowd else CLIENTS)))
    )
    planned = _operations(rng)
    failovers = _failovers(Random(f"{seed} failovers"), planned)
    planned = sorted([*planned, *failovers], key=lambda each: each.at_s)
    operations = tuple(each for each in planned if each.number not in without | _all_of(off, each))
    return Plan(
        seed=seed,
        faults=chosen,
        nodes=rng.choice((1, 1, 2) if is_crowd else (1, 2, 2, 3)),
        is_crowd=is_crowd,
        clients=clients,
        operations=operations,
        history_size=rng.choice((2, 5, 50)),
        history_ttl_s=rng.choice((2.0, 10.0, 300.0)),
        outbox_bytes=rng.choice((900, 3000, 1024 * 1024)),
        reads_max=rng.choice((2, 16)),
        page_max=rng.choice((1, 1, 3, 1000)),
        fanout_chunk=rng.choice((1, 1, 1, 2, 32)),
        clock_cost_s=rng.choice((0.0, 0.0005, 0.0005)),
        slice_s=rng.choice((0.0, 0.0, 0.0015)),
        catch_up_bytes=rng.choice((700, 512 * 1024)),
        tail_bytes=rng.choice((300, 512 * 1024)),
        cache_bytes=rng.choice((500, 64 * 1024 * 1024)),
        is_replicated=bool(failovers),
        without=without,
        off=off,
    )


def _all_of(off: frozenset[str], operation: Operation) -> frozenset[int]:
    return frozenset({operation.number}) if operation.kind in off else frozenset()


def _client(rng: Random, *, is_crowd: bool) -> ClientPlan:
    tenant = rng.choice((TENANTS[0], TENANTS[0], TENANTS[0], TENANTS[1]))
    return ClientPlan(
        tenant=TENANTS[0] if is_crowd else tenant,
        user=rng.choice((*USERS, *USERS, None)),
        is_wire=rng.random() < 0.6,
        is_batching=rng.random() < 0.3,
        is_beside=rng.random() < 0.4,
        answers_close=rng.random() < 0.8,
        wants_presence=rng.random() < 0.6,
    )


def _operations(rng: Random) -> list[Operation]:
    # Some kinds are missing in every world, so that the others meet more often.
    kinds = [kind for kind in WEIGHTS if rng.random() < 0.7 or kind in {"subscribe", "publish_elsewhere"}]
    weights = [WEIGHTS[kind] for kind in kinds]
    count, span_s = rng.randint(20, 60), rng.uniform(*OPERATIONS_S)
    times = sorted(rng.uniform(0.0, span_s) for _ in range(count))
    return [
        Operation(number, at_s, kind, tuple(rng.random() for _ in range(4)))
        for number, (at_s, kind) in enumerate(zip(times, rng.choices(kinds, weights, k=count), strict=True))
    ]


def _failovers(rng: Random, planned: list[Operation]) -> list[Operation]:
    """Drawn from a source of their own, so that the other worlds stay as they are."""
    if rng.random() >= REPLICATED:
        return []
    return [
        Operation(
            len(planned) + number,
            rng.uniform(0.0, planned[-1].at_s),
            rng.choice(FAILOVER_KINDS),
            tuple(rng.random() for _ in range(4)),
        )
        for number in range(rng.randint(*FAILOVERS))
    ]


def pick(draw: float, choices: "list[Any] | tuple[Any, ...]") -> Any:
    """One of the choices, by a draw between 0 and 1."""
    return choices[int(draw * len(choices))]
