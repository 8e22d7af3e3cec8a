"""The settings of servers with a planted bug, or with a clock that is ahead.

`FAULTS_PLANTED` names a bug, `FAULTS_CLOCK_S` says how far the clock is ahead, in seconds.
"""

import os
import time
from contextlib import ExitStack

from realtime.topics.engine import redis_scripts
from tests.settings import *  # noqa: F403
from tests.simulation.mutants import Mutant, planted

HUB = "realtime.topics.hub:Hub"
# Of a hub that looks at offsets only.
IGNORES_EPOCHS = (
    Mutant("arrived", f"{HUB}.arrived", "if epoch != local.epoch:", "if False:"),
    Mutant("heard of", f"{HUB}.heard_of", "if position.epoch != local.epoch:", "if False:"),
    Mutant("compare", f"{HUB}._compare", "position.epoch != local.epoch or", ""),
)
# Of an engine that knows a server by its process: a primary that is replaced, and made primary again, is the same.
LINE, PROCESS = "field('replication', 'master_replid')", "field('server', 'run_id')"
# Never left.
_FOR_EVER = ExitStack()


def _plant(name: str) -> None:
    match name:
        case "run_id":
            scripts = {key: text for key, text in vars(redis_scripts).items() if LINE in str(text)}
            assert scripts, "the place of this bug is no longer found"
            for key, text in scripts.items():
                setattr(redis_scripts, key, text.replace(LINE, PROCESS))
        case "ignores epochs":
            for mutant in IGNORES_EPOCHS:
                _FOR_EVER.enter_context(planted(mutant))
        case _:
            raise LookupError(name)


def _set_clock_ahead(ahead_s: int) -> None:
    now, now_ns = time.time, time.time_ns
    time.time = lambda: now() + ahead_s
    time.time_ns = lambda: now_ns() + ahead_s * 10**9


if name := os.environ.get("FAULTS_PLANTED"):
    _plant(name)
if clock_s := int(os.environ.get("FAULTS_CLOCK_S", "0")):
    _set_clock_ahead(clock_s)
