"""`python -m tests.faults`: faults at random for some minutes, with a printed seed; prints verdicts and a table."""

import argparse
import asyncio
import secrets
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.faults.figures import table, windows
from tests.faults.judge import judge
from tests.faults.runs import KINDS, run_for

TOPICS = 200


def main(arguments: Sequence[str]) -> int:
    """Run it; 0 if every promise was kept."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults")
    parser.add_argument("--minutes", type=float, default=10.0, help="of all kinds of brokers together")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS)
    parser.add_argument("--topics", type=int, default=TOPICS)
    parser.add_argument("--seed", default=secrets.token_hex(4))
    parser.add_argument("--only", default="", help="only faults whose name has this text")
    parser.add_argument("--tls", action="store_true", help="the broker speaks TLS itself (BROKER_SERVER=…)")
    parser.add_argument("--output", type=Path, help="a file for the table too")
    options = parser.parse_args(arguments)
    _say(f"seed {options.seed}")
    lines: list[str] = []
    is_kept = True
    for kind in options.kinds:
        found, is_well = _run(kind, options)
        lines += found
        is_kept = is_kept and is_well
    if options.output:
        options.output.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return 0 if is_kept else 1


def _run(kind: str, options: argparse.Namespace) -> tuple[list[str], bool]:
    with tempfile.TemporaryDirectory(prefix="rockstar-faults-") as folder:
        running = run_for(
            kind,
            Path(folder),
            options.seed,
            seconds=options.minutes * 60 / len(options.kinds),
            topics=options.topics,
            only=options.only,
            is_tls=options.tls,
        )
        events = asyncio.run(running)
    judgement = judge(events)
    lines = [
        f"{kind}: {judgement.rests - 1} faults, {options.topics} topics, seed {options.seed}",
        f"{judgement.acknowledged} acknowledged, {judgement.lost} of them lost by faults that excuse it, "
        f"{judgement.delivered} delivered, {judgement.recovered} times recovered, {judgement.told} times told",
        f"{len(judgement.verdicts)} promises broken",
        *(str(verdict) for verdict in judgement.verdicts),
        *table(windows(events)),
        "",
    ]
    for line in lines:
        _say(line)
    return lines, not judgement.verdicts


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
