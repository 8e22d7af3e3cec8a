"""`python -m bench.load JOB`: run the job given as JSON and print its figures as the last line, in JSON."""

import gc
import json
import sys
from collections.abc import Awaitable, Callable, Mapping

import uvloop

from bench.load.chat import chat
from bench.load.connects import connects
from bench.load.echo import echo, probe
from bench.load.fanout import fanout
from bench.load.job import Job
from bench.load.meter import process_tree
from bench.load.steady import stalled, steady
from bench.load.storm import storm

JOBS: Mapping[str, Callable[[Job], Awaitable[dict[str, float]]]] = {
    "fanout": fanout,
    "steady": steady,
    "stalled": stalled,
    "echo": echo,
    "probe": probe,
    "connects": connects,
    "chat": chat,
    "storm": storm,
}


async def run(job: Job) -> dict[str, float]:
    """The figures of one job."""
    return await JOBS[job.name](job)


def main() -> None:
    """Read the job, run it, print its figures; `{"missing": reason}` when the server cannot do such a thing."""
    told = json.loads(sys.argv[1])
    job = Job(**told | {"pids": process_tree(told["pids"])})
    # A pause of our own collector would be taken for one of the server.
    gc.freeze()
    gc.disable()
    try:
        figures: dict[str, float | str] = dict(uvloop.run(run(job)))
    except NotImplementedError as error:
        figures = {"missing": str(error)}
    sys.stdout.write(json.dumps(figures) + "\n")


if __name__ == "__main__":
    main()
