"""What goes wrong in a world, and how often: chosen once for the world, then for each call, all from its seed."""

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from random import Random

# How long a call takes, in seconds: mostly nothing, sometimes a turn of the loop, sometimes long.
USUAL_DELAYS_S = (None, None, 0.0, 0.0, 0.002, 0.02)
SLOW_DELAYS_S = (0.05, 0.3, 1.0, 2.5)
# Each kind of fault is off in some worlds, so that what hides behind another is seen too.
CHANCES = (0.0, 0.0, 0.02, 0.1, 0.25)
FEW = (0.0, 0.0, 0.01, 0.05)


@dataclass(slots=True)
class Faults:
    """The chance of each fault in a call, 0 to 1; 0 is never."""

    store_slow: float = 0.0
    store_fails_before: float = 0.0
    store_fails_after: float = 0.0
    database_slow: float = 0.0
    database_fails: float = 0.0
    bus_slow: float = 0.0
    bus_loses: float = 0.0
    bus_doubles: float = 0.0
    bus_away: float = 0.0
    # The chance that something happens to the client whose request waits at an await.
    ambush: float = 0.0


NAMES = tuple(each.name for each in fields(Faults))


def choose(rng: Random, off: frozenset[str] = frozenset()) -> Faults:
    """The faults of a world, without those that are switched off. Equal seeds give equal ones, whatever is off."""
    chosen = Faults(
        store_slow=rng.choice(CHANCES),
        store_fails_before=rng.choice(FEW),
        store_fails_after=rng.choice(FEW),
        database_slow=rng.choice(CHANCES),
        database_fails=rng.choice(FEW),
        bus_slow=rng.choice(CHANCES),
        bus_loses=rng.choice(CHANCES),
        bus_doubles=rng.choice(CHANCES),
        bus_away=rng.choice(FEW),
        ambush=rng.choice((0.0, 0.05, 0.15, 0.3, 0.5)),
    )
    for name in off & set(NAMES):
        setattr(chosen, name, 0.0)
    return chosen


@dataclass(slots=True)
class Dice:
    """Throws for the faults while they last, and counts what it injected."""

    rng: Random
    faults: Faults
    is_on: bool = True
    counts: dict[str, int] = field(default_factory=dict)

    def falls(self, name: str) -> bool:
        """Whether this fault happens now."""
        chance: float = getattr(self.faults, name)
        # Thrown also where it is off: a world without one fault stays alike in the rest.
        is_hit = self.rng.random() < chance and self.is_on
        if is_hit:
            self.count(name)
        return is_hit

    def count(self, name: str) -> None:
        """One more of it was injected."""
        self.counts[name] = self.counts.get(name, 0) + 1

    def delay_s(self, slow: str) -> float | None:
        """How long a call takes; None does not let the loop turn at all."""
        usual = self.rng.choice(USUAL_DELAYS_S)
        return self.rng.choice(SLOW_DELAYS_S) if self.falls(slow) else usual

    def one_of(self, choices: "list[Callable[[], None]]") -> "Callable[[], None]":
        """Any of them."""
        return self.rng.choice(choices)
