"""How slow the machine is now, so that a bound of CPU time fails for the code and not for the machine."""

import json
from time import thread_time

# CPU seconds of `_work`, at best, on the machine on which the bounds were set.
WORK_S = 0.005
WORDS = {f"word {number}": [number, str(number), {"is_even": number % 2 == 0}] for number in range(1750)}


def slowness() -> float:
    """Return how many times longer than at best this machine takes now; at least 1. Call it right after the measurement."""
    return max(1.0, sorted(_work_s() for _ in range(5))[2] / WORK_S)


def _work_s() -> float:
    begun_s = thread_time()
    counts: dict[str, int] = {}
    for word in json.loads(json.dumps(WORDS)):
        for letter in word:
            counts[letter] = counts.get(letter, 0) + 1
    json.dumps(sorted(json.loads(json.dumps(WORDS)).items()))
    return thread_time() - begun_s
