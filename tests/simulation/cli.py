"""The commands: run worlds, repeat one, look for the mutants."""

import argparse
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.simulation import determinism, node
from tests.simulation.judge import Violation, judge
from tests.simulation.mutants import MUTANTS, Mutant, pin, pinned_seeds, planted
from tests.simulation.plan import Plan, make_plan
from tests.simulation.record import Record, readable
from tests.simulation.seeds import commit_seed, failed_seeds
from tests.simulation.shrink import shrink
from tests.simulation.world import run_plan

# Worlds in which each mutant must be found, and the first of them.
MUTANT_WORLDS = 200
MUTANT_FIRST_SEED = 0
# Worlds tried where a pinned seed finds nothing any more, because the project has changed around it.
REPIN_WORLDS = MUTANT_WORLDS
# Failing worlds that are shown whole.
SHOWN_MAX = 2


@dataclass(slots=True)
class Totals:
    """What many worlds came to."""

    worlds: int = 0
    lived_s: float = 0.0
    injected: Counter[str] = field(default_factory=Counter)
    failed: list[int] = field(default_factory=list)
    digests: dict[int, str] = field(default_factory=dict)

    def add(self, seed: int, record: Record, violations: Sequence[Violation]) -> None:
        """One more world."""
        self.worlds += 1
        self.lived_s += record.lived_s
        self.injected.update(record.injected)
        self.digests[seed] = record.digest()
        if violations:
            self.failed.append(seed)

    def merge(self, other: dict[str, Any]) -> None:
        """What another process came to."""
        self.worlds += other["worlds"]
        self.lived_s += other["lived_s"]
        self.injected.update(other["injected"])
        self.failed += other["failed"]
        self.digests.update({int(seed): digest for seed, digest in other["digests"].items()})

    def as_json(self) -> str:
        """For `merge`."""
        return json.dumps(
            {
                "worlds": self.worlds,
                "lived_s": self.lived_s,
                "injected": self.injected,
                "failed": self.failed,
                "digests": self.digests,
            }
        )


def main(arguments: Sequence[str] | None = None) -> int:
    """0 where all is well."""
    parsed = _parser().parse_args(arguments)
    node.install()
    result: int = parsed.command(parsed)
    return result


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    commands = parser.add_subparsers(required=True)
    run = commands.add_parser("run", help="run worlds")
    run.add_argument("--worlds", type=int, default=300)
    run.add_argument("--first", type=int, default=None, help="the first seed (default: of the commit)")
    run.add_argument("--jobs", type=int, default=min(os.cpu_count() or 1, 8), help="processes side by side")
    run.add_argument("--failed-seeds", action="store_true", help="also all seeds that ever failed")
    run.add_argument("--json", action="store_true", help="figures for another program")
    run.set_defaults(command=_run)
    seed = commands.add_parser("seed", help="repeat one world and show its log")
    seed.add_argument("seed", type=int)
    seed.add_argument("--without", default="", help="numbers of operations left out: 3,4")
    seed.add_argument("--off", default="", help="faults and kinds of operations switched off: deaf,bus_loses")
    seed.add_argument("--mutant", default="", help="with this planted bug")
    seed.add_argument("--shrink", action="store_true", help="look for a smaller world that fails alike")
    seed.set_defaults(command=_seed)
    mutants = commands.add_parser("mutants", help="look for the planted bugs")
    mutants.add_argument("--worlds", type=int, default=MUTANT_WORLDS)
    mutants.add_argument("--pinned", action="store_true", help="each on its pinned seed first")
    mutants.add_argument("--pin", action="store_true", help="write down the seeds that found them")
    mutants.set_defaults(command=_mutants)
    return parser


def _run(parsed: argparse.Namespace) -> int:
    first = commit_seed() if parsed.first is None else parsed.first
    began_s = determinism.real_time_s()
    totals = Totals()
    if not parsed.json:
        _say(f"Worlds {first} to {first + parsed.worlds - 1}")
    seeds = failed_seeds() if parsed.failed_seeds else []
    if parsed.jobs > 1 and not parsed.json:
        _run_worlds(seeds, totals)
        _run_elsewhere(first, parsed.worlds, parsed.jobs, totals)
    else:
        _run_worlds([*seeds, *range(first, first + parsed.worlds)], totals)
    if parsed.json:
        _say(totals.as_json())
        return 0
    for seed in totals.failed[:SHOWN_MAX]:
        _show(make_plan(seed))
    _say(_summary(totals, determinism.real_time_s() - began_s))
    return 1 if totals.failed else 0


def _run_worlds(seeds: Iterable[int], totals: Totals) -> None:
    for seed in seeds:
        record = run_plan(make_plan(seed))
        totals.add(seed, record, judge(record))


def _run_elsewhere(first: int, worlds: int, jobs: int, totals: Totals) -> None:
    """In processes side by side."""
    share = -(-worlds // jobs)
    processes = [
        subprocess.Popen(
            [
                *(sys.executable, "-m", "tests.simulation", "run", "--json"),
                *("--first", str(at), "--worlds", str(min(share, first + worlds - at))),
            ],
            stdout=subprocess.PIPE,
            text=True,
        )
        for at in range(first, first + worlds, share)
    ]
    for process in processes:
        output, _ = process.communicate()
        if process.returncode:
            raise SystemExit(process.returncode)
        totals.merge(json.loads(output))


def _summary(totals: Totals, took_s: float) -> str:
    lines = [
        f"{totals.worlds} worlds, {totals.lived_s / 3600:.1f} simulated hours, "
        f"{sum(totals.injected.values())} faults and operations, {took_s:.1f} s, {len(totals.failed)} failed",
        "  " + ", ".join(f"{name} {count}" for name, count in sorted(totals.injected.items())),
    ]
    if totals.failed:
        lines.append(f"Failed seeds: {' '.join(map(str, totals.failed))}")
        lines.append(
            "Repeat one: make simulate SEED=<seed>; then write it into tests/simulation/failed_seeds.txt"
        )
    return "\n".join(lines)


def _seed(parsed: argparse.Namespace) -> int:
    without = frozenset(int(number) for number in parsed.without.split(",") if number)
    off = frozenset(name for name in parsed.off.split(",") if name)
    if parsed.mutant:
        mutant = next(each for each in MUTANTS if each.name == parsed.mutant)
        with planted(mutant):
            return _one(parsed.seed, without, off, is_shrinking=parsed.shrink)
    return _one(parsed.seed, without, off, is_shrinking=parsed.shrink)


def _one(seed: int, without: frozenset[int], off: frozenset[str], *, is_shrinking: bool) -> int:
    plan = make_plan(seed, without, off)
    violations = judge(run_plan(plan))
    if violations and is_shrinking:
        rules = {violation.rule for violation in violations}
        plan = shrink(seed, lambda smaller: bool(rules & {each.rule for each in judge(run_plan(smaller))}))
        _say(
            f"Smaller: --without {','.join(map(str, sorted(plan.without)))} --off {','.join(sorted(plan.off))}"
        )
    return _show(plan)


def _show(plan: Plan) -> int:
    record = run_plan(plan)
    violations = judge(record)
    _say(f"World {plan.seed} ({record.digest()}): {plan}", readable(record.entries))
    _say(*map(str, violations) if violations else ["All is well."])
    return 1 if violations else 0


def _mutants(parsed: argparse.Namespace) -> int:
    found: dict[str, int] = {}
    pinned = pinned_seeds() if parsed.pinned else {}
    missed = []
    for mutant in MUTANTS:
        seeds = range(MUTANT_FIRST_SEED, MUTANT_FIRST_SEED + parsed.worlds)
        tried = [pinned[mutant.name], *seeds[:REPIN_WORLDS]] if mutant.name in pinned else list(seeds)
        try:
            seed, tries = _find(mutant, tried)
        except (LookupError, AttributeError) as error:
            missed.append(mutant.name)
            _say(f"NOT FOUND, its place has changed: {mutant.name}: {error}")
            continue
        if seed is None:
            missed.append(mutant.name)
            _say(f"NOT FOUND in {tries} worlds: {mutant.name}")
            continue
        found[mutant.name] = seed
        is_stale = mutant.name in pinned and tries > 1
        _say(
            f"{tries:4} worlds, seed {seed:4}: {mutant.name}"
            + (" (its pinned seed is stale)" if is_stale else "")
        )
    if parsed.pin:
        pin(found)
    _say(f"{len(found)} of {len(MUTANTS)} mutants found")
    return 1 if missed else 0


def _find(mutant: Mutant, seeds: Sequence[int]) -> tuple[int | None, int]:
    """The first seed that finds it, and how many were tried."""
    for tries, seed in enumerate(seeds, 1):
        with planted(mutant):
            is_found = bool(judge(run_plan(make_plan(seed))))
        # By its own fault only: the world is well without it.
        if is_found and not judge(run_plan(make_plan(seed))):
            return seed, tries
    return None, len(seeds)


def _say(*lines: str) -> None:
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()
