"""The command line."""
import sys
from tests.simulation import node, determinism
from tests.simulation.judge import judge
from tests.simulation.plan import make_plan
from tests.simulation.record import readable
from tests.simulation.world import run_plan

def main() -> int:
    node.install()
    a, b = int(sys.argv[1]), int(sys.argv[2])
    t = determinism.real_time_s()
    bad = 0
    for seed in range(a, b):
        record = run_plan(make_plan(seed))
        v = judge(record)
        if v:
            bad += 1
            print(seed, len(record.entries), record.digest(), *map(str, v[:3]), sep="\n   ")
            if b - a == 1:
                print(readable(record.entries))
    print(bad, "bad of", b - a, "in", determinism.real_time_s() - t)
    return 0
