"""`python -m bench.run`: do all works on all contenders in turn, in rounds; print the table, write the JSON."""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

from bench.contenders import Contenders
from bench.cores import LOAD_CORE, SERVER_CORE
from bench.load.job import Job
from bench.plan import DIALECTS, Work, comparisons, works
from bench.profiles import Profiler
from bench.results import Results
from bench.servers.process import REPOSITORY, Server, environment, on_core
from bench.table import table
from bench.versions import versions

RESULTS = REPOSITORY / "bench" / "results"
# No job takes longer; the slowest waits for a slow peer to deliver what is outstanding.
JOB_TIMEOUT_S = 180
ROUNDS = 3
# What a probe takes to begin; it ends before the crowd leaves, which is another story than a fan-out.
PROBE_MARGIN_S = 3.0


class Run:
    """One run of the plan."""

    def __init__(
        self, contenders: Contenders, results: Results, *, peers: str, profiler: Profiler | None
    ) -> None:
        self._contenders = contenders
        self._peers = peers
        self._results = results
        self._profiler = profiler

    def work(self, work: Work) -> None:
        """Do a work on all its contenders, one after the other."""
        for contender in work.contenders:
            if not takes_part(contender, self._peers):
                continue
            started_s = time.monotonic()
            try:
                figures = self._one(work, contender)
            except (RuntimeError, subprocess.TimeoutExpired) as failure:
                # The others are measured all the same; the table names it and the exit code tells.
                self._results.failed[f"{contender}, {work.name}"] = str(failure).splitlines()[0]
                say(str(failure))
                continue
            self._results.add(work.name, contender, figures)
            shown = " ".join(f"{name}={value:.4g}" for name, value in figures.items())
            say(f"{work.name:<18} {contender:<16} {time.monotonic() - started_s:5.1f} s  {shown}")

    def _one(self, work: Work, contender: str) -> dict[str, float]:
        server = self._contenders.server(contender, needs_fresh=work.needs_fresh)
        return self._measure(work, contender, server) if server is not None else {}

    def _measure(self, work: Work, contender: str, server: Server) -> dict[str, float]:
        load = self._start(self._job(work.job, contender, server, work.parameters))
        beside: list[subprocess.Popen[str]] = []
        assert load.stdout is not None
        lines: list[str] = []
        for line in load.stdout:
            lines.append(line)
            if '"window_s"' in line:
                beside += self._begin_beside(work, contender, server, json.loads(line)["window_s"])
        last = [process.communicate(timeout=JOB_TIMEOUT_S)[0] for process in beside]
        if load.wait(JOB_TIMEOUT_S):
            raise RuntimeError(f"{work.name} on {contender} failed; its server said:\n{server.log_tail()}")
        figures: dict[str, float] = json.loads(lines[-1])
        if "missing" in figures:
            self._contenders.missing[contender] = str(figures["missing"])
            return {}
        for text in last:
            figures |= json.loads(text.splitlines()[-1])
        return figures

    def _begin_beside(
        self, work: Work, contender: str, server: Server, window_s: float
    ) -> list["subprocess.Popen[str]"]:
        """What goes on while the job measures."""
        if self._profiler is not None and contender.startswith("ours"):
            self._profiler.record(work.name, contender, server.pids[0], window_s)
        if not work.has_probe:
            return []
        duration_s = max(window_s - PROBE_MARGIN_S, 1.0)
        return [self._start(self._job("probe", contender, server, {"duration_s": duration_s}))]

    def _start(self, job: Job) -> "subprocess.Popen[str]":
        with on_core(LOAD_CORE):
            return subprocess.Popen(
                [sys.executable, "-m", "bench.load", json.dumps(asdict(job))],
                stdout=subprocess.PIPE,
                text=True,
                cwd=REPOSITORY,
                env=environment(),
            )

    def _job(self, name: str, contender: str, server: Server, parameters: object) -> Job:
        told = dict(parameters) if isinstance(parameters, dict) else {}
        return Job(
            name=name,
            dialect=DIALECTS[contender],
            ports=server.ports,
            pids=server.pids,
            tokens=server.tokens,
            room_id=server.room_id,
            database_url=server.database_url,
            redis_url=server.redis_url,
            **told,
        )


def say(line: str) -> None:
    """Progress, apart from the table."""
    sys.stderr.write(line + "\n")


def arguments() -> argparse.Namespace:
    """What may be asked for."""
    parser = argparse.ArgumentParser(prog="python -m bench.run", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one round, no large crowds: under 3 minutes")
    parser.add_argument("--rounds", type=int, default=0, help=f"default {ROUNDS}; 1 with --quick")
    parser.add_argument("--only", default="", help="names of works, comma-separated (a beginning is enough)")
    parser.add_argument(
        "--peers", default="", help='contenders besides ours, comma-separated, or "none"; default all'
    )
    parser.add_argument("--profile", action="store_true", help="keep py-spy profiles of our server as text")
    parser.add_argument("--output", type=Path, default=RESULTS / "latest.json")
    return parser.parse_args()


def chosen(asked: argparse.Namespace) -> list[Work]:
    """The works asked for."""
    beginnings = tuple(asked.only.split(","))
    return [work for work in works(is_quick=asked.quick) if work.name.startswith(beginnings)]


def takes_part(contender: str, peers: str) -> bool:
    """Whether a contender was asked for."""
    return not peers or contender.startswith("ours") or contender in peers.split(",")


def main() -> None:
    """Run what is asked for."""
    asked = arguments()
    if not {SERVER_CORE, LOAD_CORE} <= os.sched_getaffinity(0):
        sys.exit("Two cores are needed: one for the server, one for the load.")
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    rounds = asked.rounds or (1 if asked.quick else ROUNDS)
    profiler = Profiler(RESULTS / "profiles") if asked.profile else None
    results = Results(versions())
    with tempfile.TemporaryDirectory(prefix="rockstar-bench-") as folder:
        for number in range(rounds):
            say(f"round {number + 1} of {rounds}")
            home = Path(folder) / str(number)
            home.mkdir()
            contenders = Contenders(home)
            run = Run(contenders, results, peers=asked.peers, profiler=profiler)
            try:
                for work in chosen(asked):
                    run.work(work)
            finally:
                contenders.close()
            results.missing |= contenders.missing
    asked.output.parent.mkdir(parents=True, exist_ok=True)
    lines = comparisons(is_quick=asked.quick)
    asked.output.write_text(json.dumps(results.as_json(lines), indent=1, sort_keys=True) + "\n")
    sys.stdout.write(table(results, lines))
    sys.exit(1 if results.failed else 0)


if __name__ == "__main__":
    main()
