"""Python's garbage collector, tuned for a process with many long-lived connections."""

import gc

# New objects (allocated minus freed) before the young generation is collected. Python's default is 700.
YOUNG_OBJECTS = 10_000
# Collections of the young generation before the middle generation is collected. Python's default is 10. With
# 1, fewer objects gather for a collection of the middle generation.
YOUNG_LOOKS = 1
# Collections of the middle generation before a full collection is considered.
MIDDLE_LOOKS = 100


def calm_collector() -> None:
    """Collect less often, and exclude all objects that exist now: modules, settings, the node.

    Connections leave no reference cycles behind, so collections find little, and their cost grows with the
    number of open connections. Call it once, after the start.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS, YOUNG_LOOKS, MIDDLE_LOOKS)
