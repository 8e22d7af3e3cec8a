"""Python's collector of cycles, set for a process that holds many connections for long."""

import gc

# Objects that are new, net, before the young ones are looked at; Python's 700 is some ten connections.
YOUNG_OBJECTS = 10_000
# Looks at the young ones before those that survived are looked at again, together. With Python's 10 that is a stop of
# 50 ms for what 2,000 connections hold, out of every cache; at once it costs a quarter and stops for 5 ms.
YOUNG_LOOKS = 1
# Of those, before everything may be looked at: as many objects as with Python's own numbers.
MIDDLE_LOOKS = 100


def calm_collector() -> None:
    """Look less often at what lives, and never again at what is there now: modules, settings, the node.

    A connection leaves no cycles behind, so there is little to find; the looking grows with the connections held.
    Call it once, when all is started.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS, YOUNG_LOOKS, MIDDLE_LOOKS)
